/**
 * The byte-level alphabet of GPT-2: every byte is spelled by one printable character, so that a vocabulary of bytes
 * can be written as text. Printable Latin-1 bytes stand for themselves; the others take the characters from U+0100 on.
 */
const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

let nextSpare = 0x100;
/** `characterOfByte[b]` spells the byte b. */
export const characterOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : nextSpare++),
);

const byteOfCharacter: ReadonlyMap<string, number> = new Map(
  characterOfByte.map((character, byte) => [character, byte]),
);

const utf8 = new TextEncoder();

/**
 * The bytes that a token of a byte-level vocabulary stands for. A token with any character outside the alphabet (an
 * added token such as one with spaces) stands for its own UTF-8 bytes, as in Hugging Face's ByteLevel decoder.
 */
export function bytesOfToken(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return utf8.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
