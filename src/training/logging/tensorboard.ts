import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { doubleField, type EncodedField, floatField, integerField, nestedField } from "./protobuf.ts";
import { type MetricsSink, plotted } from "./sink.ts";

/** CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected). */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

/** A record of TensorFlow's TFRecord files: length, its masked checksum, data, their masked checksum. */
export function tfRecord(data: Uint8Array): Buffer {
  const masked = (bytes: Uint8Array): Buffer => {
    const crc = crc32c(bytes);
    const out = Buffer.alloc(4);
    out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
    return out;
  };
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, masked(length), data, masked(data)]);
}

// Fields of tensorboard's event.proto and summary.proto.
const event = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 };
const summary = { value: 1, tag: 1, simpleValue: 2 };
const sessionLog = { status: 1, start: 1 };

/**
 * Writes metrics as TensorBoard's event files into `folder`, one file for each process that trains. A training that goes
 * on has TensorBoard forget the steps that are done again; one that begins anew takes the place of the folder's files.
 *
 * @param now seconds since 1970.
 */
export function tensorBoardSink(folder: string, now: () => number = () => Date.now() / 1000): MetricsSink {
  let file: number | undefined;

  function append(fields: readonly EncodedField[]): void {
    writeSync(file!, tfRecord(Buffer.concat([doubleField(event.wallTime, now()), ...fields])));
  }

  function open(step: number): void {
    mkdirSync(folder, { recursive: true });
    if (step <= 1)
      for (const name of readdirSync(folder)) if (name.startsWith("events.out.tfevents.")) rmSync(join(folder, name));
    const name = `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}`;
    let number = 0;
    while (file === undefined)
      try {
        file = openSync(join(folder, `${name}.${number}`), "wx");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        number += 1;
      }
    append([nestedField(event.fileVersion, "brain.Event:2")]);
    if (step > 1)
      append([
        integerField(event.step, step),
        nestedField(event.sessionLog, [integerField(sessionLog.status, sessionLog.start)]),
      ]);
  }

  return {
    write(metrics) {
      if (file === undefined) open(metrics.step);
      const values = plotted(metrics).map(([name, value]) =>
        nestedField(summary.value, [nestedField(summary.tag, name), floatField(summary.simpleValue, value)]),
      );
      append([integerField(event.step, metrics.step), nestedField(event.summary, values)]);
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}
