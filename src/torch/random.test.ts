import { expect, test } from "vitest";
import { TorchError } from "../schema/index.ts";
import { generator, manualSeed, ops, randomState, setRandomState, tensor, toNumbers } from "./index.ts";

const draw = () => toNumbers(ops.rand([4]));

test("a seed gives torch.manual_seed's numbers", () => {
  manualSeed(0);
  // torch 2.13: torch.manual_seed(0); torch.rand(4)
  expect(draw().map((x) => x.toFixed(4))).toEqual(["0.4963", "0.7682", "0.0885", "0.1320"]);
});

test("a state that is put back repeats what came after it", () => {
  manualSeed(5);
  draw();
  const state = randomState();
  const first = [draw(), draw()];
  setRandomState(state);
  expect([draw(), draw()]).toEqual(first);
  expect(first[0]).not.toEqual(first[1]);
});

test("a generator has its own stream, which the default one does not move", () => {
  const take = (own: ReturnType<typeof generator>) => toNumbers(ops.rand([3], { generator: own }));
  const [a, b, other] = [generator(7), generator(7), generator(8)];
  const first = take(a);
  draw();
  manualSeed(1);
  const second = take(a);
  expect([take(b), take(b)]).toEqual([first, second]);
  expect(take(other)).not.toEqual(first);
  const before = draw();
  manualSeed(1);
  expect(draw()).toEqual(before);
});

test("what is no state is refused", () => {
  expect(() => setRandomState(tensor([1, 2, 3], [3], "uint8"))).toThrow(TorchError);
  expect(() => randomState("cuda:9")).toThrow(TorchError);
});
