import { ModelError } from "../schema/index.ts";

/**
 * The character map of a SentencePiece normalizer as tokenizer.json carries it (`Precompiled`): a double-array trie (Aoe 1989, in
 * the layout of Darts) over UTF-8, whose values are places in a block of texts that each end in a zero byte.
 */
export interface CharsMap {
  normalize(text: string): string;
}

/** Longer grapheme clusters, in bytes, are mapped character by character: so does Hugging Face's Rust library. */
const longestCluster = 5;
/** Mappings that are kept. */
const remembered = 20_000;

const clusters = new Intl.Segmenter("en", { granularity: "grapheme" });
const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/**
 * Reads a `precompiled_charsmap`. Mapped is what Hugging Face's Rust library maps: a grapheme cluster of a few bytes by the shortest entry that it begins
 * with, and a longer one, or one without an entry, character by character.
 *
 * @throws ModelError for a map that is cut off or no map.
 */
export function readCharsMap(base64: string, file: string): CharsMap {
  const damaged = (cause?: unknown) =>
    new ModelError("the normalizer's precompiled_charsmap can't be read", {
      file,
      field: "normalizer",
      cause,
      hint: "The file is damaged or only half downloaded: fetch it again.",
    });
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  const view = new DataView(bytes.buffer);
  const trieBytes = bytes.length < 4 ? 0 : view.getUint32(0, true);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) throw damaged();
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, at) => view.getUint32(4 + 4 * at, true));
  const texts = bytes.subarray(4 + trieBytes);

  const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  const unitAt = (at: number): number => {
    const unit = units[at];
    if (unit === undefined) throw damaged();
    return unit;
  };

  /** The text of the shortest entry that `key` begins with. */
  function mapped(key: string): string | undefined {
    let at = offsetOf(unitAt(0));
    for (const byte of utf8.encoder.encode(key)) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = unitAt(at);
      // The top bit marks a value, which has no label.
      if ((unit & 0x8000_00ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if ((unit & 0x100) === 0) continue;
      const from = unitAt(at) & 0x7fff_ffff;
      const end = texts.indexOf(0, from);
      return utf8.decoder.decode(texts.subarray(from, end < 0 ? texts.length : end));
    }
    return undefined;
  }

  const known = new Map<string, string>();
  function ofCluster(cluster: string): string {
    const found = known.get(cluster);
    if (found !== undefined) return found;
    const whole = Buffer.byteLength(cluster) <= longestCluster ? mapped(cluster) : undefined;
    const result = whole ?? Array.from(cluster, (character) => mapped(character) ?? character).join("");
    if (known.size < remembered) known.set(cluster, result);
    return result;
  }

  return {
    normalize: (text) => Array.from(clusters.segment(text), ({ segment }) => ofCluster(segment)).join(""),
  };
}
