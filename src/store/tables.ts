import type { Kysely } from "kysely";

/** Which part of the run a prompt serves: supervised tuning, preference training, or evaluation only. */
export type Split = "sft" | "wrpo" | "evaluation";

export type StageState = "running" | "done" | "failed";

/** One query layer for every database behind it: only `sqlite.ts` and `postgres.ts` know which it is. */
export type Database = Kysely<Tables>;

/** Times are milliseconds since 1970. Columns called `*_json`, and every free text, hold JSON. */
export interface Tables {
  meta: { name: string; value: string };
  /** The prompts of the recipe as it stands now, and no others. */
  prompts: {
    id: string;
    position: number;
    split: Split;
    messages_json: string;
    messages_key: string;
    checks_json: string;
    checks_key: string;
    domain: string | null;
    prompt_no: number;
  };
  /**
   * A number for each list of messages that was ever a prompt's, in the order in which they came. Rows about responses begin
   * their indexes with it: what is stored together stands together, however many rows there are.
   */
  prompt_numbers: { prompt_no: number; messages_key: string };
  /** Content key of (source's identity, sampling) and what it stands for. */
  samplers: { key: string; identity: string; sampling_json: string; created_at: number };
  /** What each stage asks of each source, as the recipe stands now. */
  draws: {
    stage: string;
    source: string;
    sampler: string;
    n: number;
    splits_json: string;
    /** Counts of the responses that are there; null until they are counted. */
    done: number | null;
    unfinished: number | null;
  };
  responses: {
    key: string;
    sampler: string;
    messages_key: string;
    idx: number;
    text_json: string;
    finish: "stop" | "length";
    prompt_tokens: number;
    response_tokens: number;
    created_at: number;
    /** What came with the text: what was thought before it, log-probs. */
    extras_json: string | null;
    prompt_no: number;
  };
  /** The latest failure of a response that is still missing. */
  failures: { sampler: string; messages_key: string; idx: number; failure_json: string; failed_at: number };
  scores: {
    response_key: string;
    reward: string;
    checks_key: string;
    value: number;
    parts_json: string;
    created_at: number;
    prompt_no: number;
  };
  /** The latest failure of a score that is still missing. */
  score_failures: {
    response_key: string;
    reward: string;
    checks_key: string;
    failure_json: string;
    failed_at: number;
    prompt_no: number;
  };
  /** Processes that work on a shared ledger; one that is not here any more has no leases. Empty in SQLite. */
  workers: { id: string; host: string; pid: number; started_at: number; expires_at: number };
  /** What a worker is at: a prompt of a sampler, or what is done by one worker at a time. Empty in SQLite. */
  leases: { task: string; item: string; worker: string };
  /** Scores of a stage's responses, where all its draws are counted. */
  score_counts: { stage: string; reward: string; done: number };
  selections: {
    prompt_id: string;
    split: Split;
    source_chosen: string | null;
    target_chosen: string | null;
    rejected: string | null;
    source_rejected: string | null;
    further_sources_json: string | null;
    left_out: string | null;
  };
  reference_logps: {
    model: string;
    template: string;
    prompt_tokens: string;
    response: string;
    logp: number;
    tokens: number;
  };
  judgements: { key: string; judge: string; value_json: string; created_at: number };
  evaluations: { name: string; inputs: string; result_json: string; created_at: number };
  stages: {
    name: string;
    inputs: string;
    state: StageState;
    first_started_at: number;
    started_at: number;
    updated_at: number;
    finished_at: number | null;
    seconds: number;
    total: number;
    done: number;
    /** `done` when the present attempt began: the rate counts from here. */
    done_before: number;
    failed: number;
    counts_json: string;
  };
}
