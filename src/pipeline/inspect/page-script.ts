/**
 * The script of the page: shows and hides what is on it by source, domain, flag, gap and text (of a prompt or a response, as `--search`),
 * and jumps to a prompt drawn by lot. It reads texts, and never makes markup of one.
 */
export const pageScript = `
const form = document.querySelector(".filters");
const all = [...document.querySelectorAll(".shown")];
const texts = new Map();
const textsOf = (one) => {
  if (!texts.has(one)) texts.set(one, [...one.querySelectorAll(".said:not(.diff)")].map((said) => said.textContent.toLowerCase()));
  return texts.get(one);
};
const number = (text) => (text.trim() === "" ? undefined : Number(text));
const visible = () => all.filter((one) => !one.hidden);
function apply() {
  const { source, domain, flag, least, most, search } = Object.fromEntries(new FormData(form));
  const [low, high, piece] = [number(least), number(most), search.toLowerCase()];
  for (const one of all) {
    const { source: winner, domain: of, flags, gap } = one.dataset;
    const width = gap === "" ? NaN : Number(gap);
    one.hidden = !(
      (source === "" || winner === source.slice(1)) &&
      (domain === "" || of === domain.slice(1)) &&
      (flag === "" || flags.split(" ").includes(flag)) &&
      (low === undefined || width >= low) &&
      (high === undefined || width <= high) &&
      (piece === "" || textsOf(one).some((text) => text.includes(piece)))
    );
  }
  form.querySelector("output").textContent = visible().length + " of " + all.length + " shown";
}
form.hidden = false;
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
form.querySelector("button").addEventListener("click", () => {
  const some = visible();
  const one = some[Math.floor(Math.random() * some.length)];
  if (one !== undefined) one.scrollIntoView({ block: "start" });
});
apply();
`;
