import { expect, test } from "vitest";
import { completion, localServer, sendJson } from "../../sources/testing/local-server.ts";
import { ask } from "./asking.ts";
import { ofEach } from "./of-each.ts";
import { answeringAt, contestant, newFolder, withEvaluation } from "./testing/judged-world.ts";

const sampling = { temperature: 0, top_p: 1, top_k: 0, stop: [], seed: 1, max_tokens: 9 };
const names = ["a", "b", "c"];

const askAll = (url: string, folder = newFolder()) =>
  withEvaluation(folder, async (evaluation) => {
    const contestants = await Promise.all(names.map(async (name) => contestant(await answeringAt(url, name))));
    return ofEach(evaluation, contestants, async (each, { name, answering }) => {
      const asked = ["q", "r"].map((id) => ({ id, messages: [{ role: "user" as const, content: id }], sampling }));
      if (name === "c" && url.endsWith("/none/v1")) throw new Error("c is out of order");
      return [name, ...(await ask(each, name, answering!.source, asked))];
    });
  });

test("endpoints are asked at the same time, and stand in the order of the models", async () => {
  let waiting: (() => void)[] = [];
  const server = await localServer(async ({ body }, answer) => {
    // Nobody is answered before all three models were asked.
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length < names.length) return;
      for (const go of waiting) go();
      waiting = [];
    });
    sendJson(answer, 200, completion([`${body.model} says ${body.messages[0]!.content}`]));
  });
  const found = await askAll(server.url);
  await server.close();
  expect(
    found.map(([name, ...answers]) => [
      name,
      answers.map((one) => typeof one === "object" && "text" in one && one.text),
    ]),
  ).toEqual(names.map((name) => [name, [`${name} says q`, `${name} says r`]]));
  expect(server.mostOpen()).toBe(3);
});

test("where one fails, the others are stopped and its error is told", async () => {
  const server = await localServer(() => {});
  const url = server.url.replace("/v1", "/none/v1");
  await expect(askAll(url)).rejects.toThrow("c is out of order");
  await server.close();
});
