import { bytesOfToken } from "./byte-level.ts";
import type { Component, TokenizerJson } from "./tokenizer-json.ts";

/**
 * Turns tokens into text as they come. What it gave, joined, is the text of all tokens; it never gives half a
 * character, so the text of a token may come with a later one or at the end.
 */
export interface TextStream {
  push(token: string): string;
  /** The rest; what is then still half a character becomes U+FFFD. */
  end(): string;
}

/**
 * The maker of text streams for a tokenizer.json's decoder, with the meaning of Hugging Face's Rust library: byte-level
 * (GPT-2), or replaced spaces with byte fallback (SentencePiece). Undefined for other decoders.
 */
export function textStreams(json: TokenizerJson): (() => TextStream) | undefined {
  if (json.decoder?.type === "ByteLevel") return byteLevelStream;
  const found = byteFallbackSteps(json);
  if (found === undefined) return undefined;
  const { replaces, strip } = found;
  const space = strip?.content as string | undefined;
  return () => byteFallbackStream(replaces, space ?? " ", strip === undefined ? 0 : (strip.start as number));
}

/** The steps of a decoder with byte fallback; undefined for any other. */
function byteFallbackSteps({
  decoder,
}: TokenizerJson): { replaces: Component[]; strip: Component | undefined } | undefined {
  const steps = decoder?.type === "Sequence" ? (decoder.decoders as Component[]) : [];
  const fallback = steps.findIndex((step) => step.type === "ByteFallback");
  const replaces = steps.slice(0, Math.max(fallback, 0));
  const [fuse, strip, ...others] = steps.slice(fallback + 1);
  const understood =
    fallback >= 0 &&
    replaces.every((step) => step.type === "Replace" && replacedText(step) !== undefined) &&
    fuse?.type === "Fuse" &&
    (strip === undefined || (strip.type === "Strip" && strip.stop === 0)) &&
    others.length === 0;
  return understood ? { replaces, strip } : undefined;
}

/**
 * The bytes that a token stands for by itself, for a tokenizer.json's decoder. A decoder of another kind than `textStreams` knows gives
 * the UTF-8 of the token's own text.
 */
export function tokenBytesReader(
  json: TokenizerJson,
  decode: (token: string) => string,
): (token: string) => Uint8Array {
  const utf8 = new TextEncoder();
  if (json.decoder?.type === "ByteLevel") return bytesOfToken;
  const replaces = byteFallbackSteps(json)?.replaces;
  if (replaces === undefined) return (token) => utf8.encode(decode(token));
  return (token) => {
    const text = replaced(token, replaces);
    const byte = byteToken.exec(text)?.[1];
    return byte === undefined ? utf8.encode(text) : Uint8Array.of(Number.parseInt(byte, 16));
  };
}

const byteToken = /^<0x([0-9a-f]{2})>$/iu;

const replaced = (token: string, replaces: readonly Component[]): string =>
  replaces.reduce((text, step) => text.replaceAll(replacedText(step)!, step.content as string), token);

const replacedText = (step: Component) => (step.pattern as { String?: string } | undefined)?.String;

function byteLevelStream(): TextStream {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (token) => utf8.decode(bytesOfToken(token), { stream: true }),
    end: () => utf8.decode(),
  };
}

/**
 * A run of byte tokens is text when the whole run is valid UTF-8, and else one U+FFFD for each of its bytes: so the run
 * is held until it ends.
 */
function byteFallbackStream(replaces: readonly Component[], stripped: string, count: number): TextStream {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  let run: number[] = [];
  let toStrip = count;

  const endOfRun = () => {
    const bytes = run;
    run = [];
    try {
      return utf8.decode(Uint8Array.from(bytes));
    } catch {
      return "\uFFFD".repeat(bytes.length);
    }
  };
  const strip = (text: string) => {
    let rest = text;
    while (toStrip > 0 && rest !== "") {
      if (!rest.startsWith(stripped)) toStrip = 0;
      else {
        rest = rest.slice(stripped.length);
        toStrip -= 1;
      }
    }
    return rest;
  };

  return {
    push(token) {
      const text = replaced(token, replaces);
      const byte = byteToken.exec(text)?.[1];
      if (byte !== undefined) {
        run.push(Number.parseInt(byte, 16));
        return "";
      }
      return strip(endOfRun() + text);
    },
    end: () => strip(endOfRun()),
  };
}

/**
 * A text stream for any other decoder, by decoding all tokens again at each step.
 * @param decode text of tokens, which must only grow at its end as tokens follow.
 */
export function redecodingStream(decode: (tokens: string[]) => string): TextStream {
  const tokens: string[] = [];
  let given = 0;
  const rest = (held: RegExp) => {
    const text = decode(tokens);
    const end = text.length - (held.exec(text)?.[0].length ?? 0);
    const fresh = text.slice(given, Math.max(given, end));
    given += fresh.length;
    return fresh;
  };
  return {
    push(token) {
      tokens.push(token);
      return rest(/\uFFFD+$/u);
    },
    end: () => rest(/(?!)/u),
  };
}
