import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLedger, readLedger } from "./index.ts";
import { type Certificate, postgresPrograms, startPostgres, type TestPostgres } from "./testing/postgres.ts";
import { prompt } from "./testing/rows.ts";

const place = mkdtempSync(join(tmpdir(), "tls-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** A certificate for 127.0.0.1, signed by itself. Debian's PostgreSQL brings openssl. */
function selfSigned(name: string): Certificate {
  const [certificate, key] = [join(place, `${name}.crt`), join(place, `${name}.key`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"];
  execFileSync("openssl", [...words, ...subject, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  return { certificate, key };
}

describe.skipIf(postgresPrograms() === undefined)("a server that takes encrypted connections only", () => {
  let server: TestPostgres;
  let own: Certificate;
  let folders = 0;
  beforeAll(async () => {
    own = selfSigned("server");
    server = await startPostgres(postgresPrograms()!, own);
  });
  afterAll(() => server?.stop());

  const trusting = ({ certificate }: Certificate) => `sslmode=verify-full&sslrootcert=${certificate}`;
  const encrypted = (parameters: string) => server.freshLedger({ url: `${server.url}?${parameters}` });
  const folder = () => join(place, `run-${folders++}`);
  const asSuperuser = async (query: string) => {
    const client = new pg.Client({ connectionString: `${server.url}?${trusting(own)}` });
    await client.connect();
    const { rows } = await client.query(query);
    await client.end();
    return rows;
  };

  test("is used where the address names its certificate, and every connection is encrypted", async () => {
    const run = folder();
    const ledger = await openLedger(run, { shared: encrypted(trusting(own)) });
    await ledger.prompts.replace([prompt("a")]);
    const sessions = await asSuperuser(
      "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'amalgam'",
    );
    expect(sessions.length).toBeGreaterThan(0);
    expect(sessions.every(({ ssl }) => ssl)).toBe(true);
    await ledger.close();
    const reader = await readLedger(run);
    expect(await reader.prompts.list()).toEqual([prompt("a")]);
    await reader.close();
  });

  test("is refused where it can't be trusted, with what to do", async () => {
    const refused = async (parameters: string, host = "127.0.0.1") => {
      const ledger = encrypted(parameters);
      const shared = { ...ledger, url: ledger.url!.replace("127.0.0.1", host) };
      const error = await openLedger(folder(), { shared }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "LEDGER" });
      return error;
    };
    const unknown = { message: expect.stringContaining("authority that this machine doesn't know") };
    const naming = { hint: expect.stringContaining("sslrootcert=") };
    for (const mode of ["verify-full", "verify-ca", "require"])
      expect(await refused(`sslmode=${mode}`), mode).toMatchObject({ ...unknown, ...naming });
    expect(await refused(trusting(selfSigned("another")))).toMatchObject({ ...unknown, ...naming });
    expect(await refused(trusting(own), "localhost")).toMatchObject({
      message: expect.stringMatching(/for another host/),
    });
    expect(await refused("")).toMatchObject({
      message: expect.stringMatching(/only encrypted/),
      hint: expect.stringMatching(/sslmode=verify-full/),
    });
    expect(await refused("sslmode=verify-full&sslrootcert=/no/such.crt")).toMatchObject({
      message: expect.stringMatching(/can't be read/),
    });

    await asSuperuser("alter system set ssl = off");
    await asSuperuser("select pg_reload_conf()");
    await expect
      .poll(() => refused(trusting(own)))
      .toMatchObject({ message: expect.stringMatching(/the server has no TLS/) });
  });
});
