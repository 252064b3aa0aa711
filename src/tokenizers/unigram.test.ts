import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { readCharsMap } from "./charsmap.ts";
import { tokenizerFromFolder } from "./index.ts";
import type { Component } from "./tokenizer-json.ts";

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.json`, import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(fixture(name), "utf8"));

/** Ids by Hugging Face's Rust library, and those where no added token is recognised: made by bench/fixtures/pairrm_truth.py. */
const truth = read("unigram") as [number[], number[]][];
const { texts } = read("texts") as { texts: string[] };

const folder = mkdtempSync(join(tmpdir(), "amalgam-unigram-"));
afterAll(() => rmSync(folder, { recursive: true }));
cpSync(fixture("unigram-tokenizer"), join(folder, "tokenizer.json"));
writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ unk_token: "[UNK]", pad_token: "[PAD]" }));

test("ids of DeBERTa's tokenizer are those of the Rust library, on hard texts", async () => {
  const tokenizer = await tokenizerFromFolder(folder);
  expect(truth).toHaveLength(texts.length);
  for (const [k, text] of texts.entries()) {
    expect([k, text, tokenizer.encode(text, { special: true })]).toEqual([k, text, truth[k]![0]]);
    expect([k, text, tokenizer.encode(text, { literal: true })]).toEqual([k, text, truth[k]![1]]);
  }
});

test("an added token that is no special one is spelled only where that is asked for", async () => {
  const tokenizer = await tokenizerFromFolder(folder);
  const mark = tokenizer.tokenId("<|candidate1|>")!;
  expect(tokenizer.encode("a <|candidate1|> b")).toContain(mark);
  expect(tokenizer.encode("a <|candidate1|> b", { literal: true })).not.toContain(mark);
});

test("a map of characters that is cut off is told", () => {
  const { normalizer } = read("unigram-tokenizer") as { normalizer: { normalizers: Component[] } };
  const map = normalizer.normalizers.find(({ type }) => type === "Precompiled")!.precompiled_charsmap as string;
  expect(readCharsMap(map, "t.json").normalize("\uff21\u3000\ufb01\u00bd")).toBe("A fi1\u20442");
  for (const damaged of ["", "AAAA", map.slice(0, 400), "no base64"])
    expect(() => readCharsMap(damaged, "t.json").normalize("A")).toThrow("precompiled_charsmap can't be read");
});
