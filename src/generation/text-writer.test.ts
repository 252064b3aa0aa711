import { describe, expect, test } from "vitest";
import { tokenizerFromGguf } from "../tokenizers/index.ts";
import { byteLevelMetadata } from "../tokenizers/testing/synthetic.ts";
import { textWriter } from "./text-writer.ts";

const tokenizer = tokenizerFromGguf(byteLevelMetadata("qwen2"), "synthetic");

function written(text: string, stops: readonly string[], minTokens = 0) {
  const writer = textWriter(tokenizer, { stops, minTokens });
  const pieces: string[] = [];
  for (const id of tokenizer.encode(text)) {
    pieces.push(writer.push(id));
    if (writer.stopped) break;
  }
  return { text: [...pieces, writer.end()].join(""), pieces, stopped: writer.stopped };
}

describe("the text of a response", () => {
  const text = "one two thre three é 😀 STOP and more";

  test("is all of it where nothing stops it", () => {
    expect(written(text, []).text).toBe(text);
    expect(written(text, ["STOPS", "never"])).toMatchObject({ text, stopped: false });
  });

  test("ends before the first stop string, wherever tokens part it", () => {
    for (const stop of ["STOP", "three", "é 😀", " ", "😀", "one", "P and"]) {
      expect(written(text, [stop, "more"])).toMatchObject({ text: text.slice(0, text.indexOf(stop)), stopped: true });
    }
  });

  test("gives nothing away that turns out to be a stop string's beginning", () => {
    const { pieces } = written("abcabcabd rest", ["abcabd"]);
    expect(pieces.join("")).toBe("abc");
  });

  test("a stop string within the least length is text, one that is complete with it or later ends", () => {
    const text = "one STOP two STOP three STOP";
    const ids = tokenizer.encode(text);
    const starts = [...text.matchAll(/STOP/g)].map(({ index }) => index);
    // Tokens that make each of them complete.
    const complete = starts.map((at) =>
      [...ids, -1].findIndex((_, k) => tokenizer.decode(ids.slice(0, k)).length >= at + 4),
    );
    for (const [k, tokens] of complete.entries()) {
      expect(written(text, ["STOP"], tokens)).toMatchObject({ text: text.slice(0, starts[k]), stopped: true });
      const next = starts[k + 1];
      expect(written(text, ["STOP"], tokens + 1)).toMatchObject({
        text: text.slice(0, next),
        stopped: next !== undefined,
      });
    }
  });
});
