import { expect, test } from "vitest";
import { serving } from "../../../../sources/testing/serving.ts";
import { answeringAt, newFolder, type Script, scripted, withEvaluation } from "../../testing/judged-world.ts";
import { judgements, type Reading } from "./judging.ts";

const { serve } = serving();
const sampling = { temperature: 0, top_p: 1, top_k: 0, stop: [], seed: 1, max_tokens: 9 };
const read = (words: string): Reading<string> => {
  const verdicts = words.match(/yes|no/g) ?? [];
  return verdicts.length === 1 ? { verdict: verdicts[0]! } : { fault: "none", final: verdicts.length > 1 };
};

/** Asks two questions of a judge, twice as an evaluation that is called again. */
async function twice(again: boolean, before: Script, after: Script) {
  let judge = before;
  const { handler, answered } = scripted({ judge: (text, all) => judge(text, all) });
  const { url } = await serve(handler);
  const folder = newFolder();
  const call = () =>
    withEvaluation(folder, async (evaluation) =>
      judgements(
        evaluation,
        ["one", "two"].map((id) => ({ id, messages: [{ role: "user", content: id }] })),
        { label: "judged", judge: await answeringAt(url, "judge"), sampling, attempts: 2, again, read },
      ),
    );
  const first = await call();
  const asked = answered.length;
  judge = after;
  const second = await call();
  return { first, second, asked, askedAgain: answered.slice(asked) };
}

const prose: Script = (text) => (text === "one" ? "yes" : "well");

test("what had no verdict is asked from the beginning by the next call, and how late its verdict came is kept", async () => {
  const { first, second, asked, askedAgain } = await twice(true, prose, () => "no");
  expect(first.map(({ verdict, attempts }) => [verdict, attempts])).toEqual([
    ["yes", 1],
    [null, 2],
  ]);
  expect(asked).toBe(3);
  expect(askedAgain).toEqual([JSON.stringify(["judge", [{ role: "user", content: "two" }]])]);
  expect(second.map(({ verdict, words, attempts }) => [verdict, words, attempts])).toEqual([
    ["yes", "yes", 1],
    ["no", "no", 3],
  ]);
});

test("so is what was final in the call before", async () => {
  const { first, second } = await twice(
    true,
    () => "yes or no",
    () => "yes",
  );
  expect(first.map(({ verdict, attempts }) => [verdict, attempts])).toEqual([
    [null, 1],
    [null, 1],
  ]);
  expect(second.map(({ verdict }) => verdict)).toEqual(["yes", "yes"]);
});

test("where figures are the official tool's, it stays as it is", async () => {
  const { first, second, askedAgain } = await twice(false, prose, () => "no");
  expect(askedAgain).toEqual([]);
  expect(second).toEqual(first);
});
