import { LedgerError } from "../schema/index.ts";
import { ConnectionLost } from "./engine.ts";
import type { PostgresAddress } from "./postgres.ts";

const connectionLost = /^(08|57P0|25P03|ECONNRESET|EPIPE)/;
const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/;

/** What the person is told for each code of PostgreSQL or the system that is about their server, not about our queries. */
const explanations: ReadonlyArray<readonly [codes: RegExp, message: string, hint: string]> = [
  [
    /^28P01$/,
    "the database does not accept this user or password",
    "Put the password into the environment variable PGPASSWORD, and check the user in the ledger's url.",
  ],
  [/^3D000$/, "the server has no such database", "Make it once (createdb NAME), or correct the ledger's url."],
  [/^3F000$/, "the database has no such schema", "Start the run first, or correct the ledger's schema."],
  [
    /^42501$/,
    "the database refuses what the ledger needs",
    "The user needs the right to make a schema in this database, or to use the one that is there.",
  ],
  [
    /^25006$/,
    "the ledger can't be written",
    "It was opened for reading, or the server is a read-only standby: name the primary server.",
  ],
  [
    /^53100$/,
    "the disk of the database server is full: the last batch was not stored, everything before it is kept",
    "Free some space there and run the same command again; it goes on where it stopped.",
  ],
  [/^53300$/, "the database server has no connection left", "Raise its max_connections, or start fewer workers."],
  [
    connectionLost,
    "the connection to the database was lost: the last batch may not be stored, everything before it is kept",
    "Run the same command again when the server is up; it goes on where it stopped.",
  ],
  [
    /^NO_ENCRYPTION$/,
    "the server takes only encrypted connections from here",
    "Add ?sslmode=verify-full to the ledger's url.",
  ],
  [
    /^28000$/,
    "the server refuses this user, database or machine",
    "Check the user and the database in the ledger's url; who may connect from where stands in the server's pg_hba.conf.",
  ],
  [
    /^NO_TLS$/,
    "the server has no TLS, and the ledger's url asks for it",
    "Switch TLS on at the server, or take sslmode out of the url where the network between is your own.",
  ],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?))$/,
    "the server's certificate is of an authority that this machine doesn't know",
    "Name the authority's certificate in the ledger's url: ?sslmode=verify-full&sslrootcert=/path/to/root.crt.",
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    "the server's certificate is for another host than the ledger's url names",
    "Write the host as the certificate has it, or have one made for this host.",
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    "the server's certificate is not valid today",
    "Renew it at the server, or set this machine's clock right.",
  ],
  [
    /^NO_CERTIFICATE_FILE$/,
    "a certificate or key that the ledger's url names can't be read",
    "Correct sslrootcert, sslcert and sslkey in the url: each is the path of a file on this machine.",
  ],
  [
    /^(ERR_SSL_|ERR_OSSL_|EPROTO|ERR_TLS_|CERT_)/,
    "the encrypted connection to the server can't be made",
    "Check the server's TLS settings and certificate, and sslmode, sslrootcert, sslcert and sslkey in the ledger's url.",
  ],
  [
    /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT)$/,
    "the database server can't be reached",
    "Check the ledger's url, and that the server is up and may be reached from this machine.",
  ],
  [/^XX00[12]$/, "the ledger is damaged", "Restore the database from its backup; see the server's log."],
];

/** What the driver or the server says in words alone, or in a code that others have too, and the name that stands for it. */
const namesOfWords: ReadonlyArray<readonly [words: RegExp, name: string]> = [
  [/Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/, "08006"],
  [/client password must be/, "28P01"],
  [/no pg_hba.conf entry .*no encryption/, "NO_ENCRYPTION"],
  [/The server does not support SSL connections/, "NO_TLS"],
  [/error establishing an SSL connection/, "EPROTO"],
];

function nameOf(error: Error): string {
  const { code, syscall } = error as NodeJS.ErrnoException;
  const words = namesOfWords.find(([pattern]) => pattern.test(error.message));
  if (words !== undefined) return words[1];
  // A server's socket that is not there is told by the same code, but from another call.
  if (syscall === "open") return "NO_CERTIFICATE_FILE";
  return typeof code === "string" ? code : "";
}

/**
 * The driver's error as the person should see it, without the address's password; a mistake in our own queries stays what it
 * is. A server that was there before and can't be reached now is started anew as a rule: that is a connection lost.
 */
export function explainPostgres(
  error: unknown,
  { shown, schema }: Pick<PostgresAddress, "shown" | "schema">,
  connectedBefore: boolean,
): unknown {
  if (!(error instanceof Error) || error instanceof LedgerError) return error;
  const name = nameOf(error);
  const known = explanations.find(([codes]) => codes.test(name));
  if (known === undefined) return error;
  const lost = connectionLost.test(name) || (connectedBefore && unreachable.test(name));
  const Kind = lost ? ConnectionLost : LedgerError;
  return new Kind(`${known[1]} (${name})`, { file: `${shown}, schema ${schema}`, hint: known[2] });
}
