import type { Comparison, Expression, Listing, UnaryFunction } from "./expression.ts";
import { unaryFunctions } from "./expression.ts";
import { decimal } from "./rational.ts";
import { plainForm, type Token, tokenise } from "./tokens.ts";

/** A longer answer is none, and deeper brackets are a mistake. */
const longest = 2000;
const deepest = 60;

/** The expression that a text in LaTeX or plain mathematics writes; undefined where it is none, or has more than that. */
export function parseExpression(text: string): Expression | undefined {
  if (text.length > longest) return undefined;
  const tokens = tokenise(plainForm(text));
  if (tokens === undefined || tokens.length === 0) return undefined;
  try {
    const parser = new Parser(tokens);
    const parsed = parser.list();
    return parser.atEnd() ? parsed : undefined;
  } catch (error) {
    if (error instanceof NoExpression) return undefined;
    throw error;
  }
}

class NoExpression extends Error {}

const comparisons: Readonly<Record<string, Comparison>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  le: "<=",
  ge: ">=",
  ne: "!=",
};

const otherNames: Readonly<Record<string, UnaryFunction>> = { asin: "arcsin", acos: "arccos", atan: "arctan" };

const isFunction = (name: string): name is UnaryFunction => (unaryFunctions as readonly string[]).includes(name);

/** Names that stand between or after factors. */
const noFactors = ["cup", "pm", "le", "ge", "ne", "in", "deg", "rfloor", "rceil"];

/** One number, as written. */
const whole = (digits: string): Expression => ({
  kind: "number",
  value: decimal(digits),
  decimal: digits.includes("."),
});

/** Recursive descent, from the loosest binding (commas) to the tightest. */
class Parser {
  private at = 0;
  private depth = 0;
  /** How many bars are open: another one closes. */
  private bars = 0;
  private readonly tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  atEnd(): boolean {
    return this.at === this.tokens.length;
  }

  list(): Expression {
    const items = this.items();
    return items.length === 1 ? items[0]! : { kind: "list", open: "", close: "", items };
  }

  private items(): Expression[] {
    const items = [this.relation()];
    while (this.takes(",") || this.takes(";")) {
      if (this.atEnd()) break;
      while (this.takes(","));
      items.push(this.relation());
    }
    return items;
  }

  private relation(): Expression {
    this.depth += 1;
    if (this.depth > deepest) throw new NoExpression();
    const items = [this.union()];
    const signs: Comparison[] = [];
    for (;;) {
      // x \in [1, 2] says no more than [1, 2].
      if (items.length === 1 && this.takes("in")) {
        items[0] = this.union();
        continue;
      }
      // 3 : 4 is a quotient.
      if (this.takes(":")) {
        items.push({ kind: "quotient", left: items.pop()!, right: this.union() });
        continue;
      }
      const text = this.peek()?.text;
      const comparison = text === undefined ? undefined : comparisons[text];
      if (comparison === undefined) break;
      this.at += 1;
      signs.push(comparison);
      items.push(this.union());
    }
    this.depth -= 1;
    return signs.length === 0 ? items[0]! : { kind: "relation", items, comparisons: signs };
  }

  private union(): Expression {
    const items = [this.sum()];
    while (this.takes("cup")) items.push(this.sum());
    return items.length === 1 ? items[0]! : { kind: "union", items };
  }

  private sum(): Expression {
    let left: Expression | undefined;
    for (;;) {
      if (this.takes("+")) left = left === undefined ? this.term() : { kind: "sum", left, right: this.term() };
      else if (this.takes("-")) {
        const right: Expression = { kind: "negative", of: this.term() };
        left = left === undefined ? right : { kind: "sum", left, right };
      } else if (this.takes("pm")) left = { kind: "plus_minus", middle: left ?? whole("0"), reach: this.term() };
      else if (left === undefined) left = this.product();
      else return left;
    }
  }

  /** A product that may have a sign of its own, as in 3 + -2x. */
  private term(): Expression {
    if (this.takes("-")) return { kind: "negative", of: this.term() };
    return this.takes("+") ? this.term() : this.product();
  }

  private product(): Expression {
    let left = this.factor();
    for (;;) {
      if (this.takes("*")) left = { kind: "product", left, right: this.signed() };
      else if (this.takes("/")) left = { kind: "quotient", left, right: this.signed() };
      else if (this.startsFactor()) {
        const mixed =
          left.kind === "number" && !left.decimal && left.value.denominator === 1n && this.isNumberFraction();
        left = { kind: mixed ? "sum" : "product", left, right: this.factor() };
      } else return left;
    }
  }

  /** A factor that may have a sign, as in 3 * -2. */
  private signed(): Expression {
    if (this.takes("-")) return { kind: "negative", of: this.signed() };
    return this.takes("+") ? this.signed() : this.factor();
  }

  /** Whether \frac{digits}{digits} comes: after a whole number it is the rest of a mixed one. */
  private isNumberFraction(): boolean {
    if (this.peek()?.text !== "frac") return false;
    const isDigits = (token: Token | undefined) => token?.kind === "number" && !token.text.includes(".");
    const [a, b, c, d, e, f] = this.tokens.slice(this.at + 1, this.at + 7);
    if (isDigits(a)) return a!.text.length > 1 || isDigits(b) || (b?.text === "{" && isDigits(c));
    return (
      a?.text === "{" &&
      isDigits(b) &&
      c?.text === "}" &&
      (isDigits(d) || (d?.text === "{" && isDigits(e) && f?.text === "}"))
    );
  }

  private startsFactor(): boolean {
    const token = this.peek();
    if (token === undefined) return false;
    if (token.kind === "number") return true;
    if (token.kind === "name") return !noFactors.includes(token.text) && !token.text.startsWith("end{");
    return (
      ["(", "[", "{", "\\{"].includes(token.text) || ((token.text === "|" || token.text === "\\|") && this.bars === 0)
    );
  }

  private factor(): Expression {
    let base = this.atom();
    for (;;) {
      if (this.takes("^")) base = { kind: "power", left: base, right: this.argument() };
      else if (this.takes("!")) base = { kind: "function", name: "factorial", of: base };
      else if (this.takes("%")) base = { kind: "percent", of: base };
      else if (this.takes("deg")) base = { kind: "degrees", of: base };
      else return base;
    }
  }

  private atom(): Expression {
    const token = this.next();
    if (token.kind === "number") return whole(token.text);
    if (token.kind === "sign") return this.bracketed(token.text);
    return this.named(token.text);
  }

  private bracketed(sign: string): Expression {
    if (sign === "|" || sign === "\\|") {
      this.bars += 1;
      const of = this.sum();
      this.bars -= 1;
      if (!this.takes(sign)) throw new NoExpression();
      return { kind: "function", name: "abs", of };
    }
    const bars = this.bars;
    this.bars = 0;
    const listing = this.listing(sign);
    this.bars = bars;
    // Round brackets and LaTeX's braces group; a set of one is a set.
    if (listing.items.length === 1 && listing.open !== "{" && listing.open !== "[") return listing.items[0]!;
    return listing;
  }

  private listing(sign: string): Listing {
    if (sign === "{") {
      const items = this.items();
      if (!this.takes("}")) throw new NoExpression();
      return { kind: "list", open: "", close: "", items };
    }
    if (sign !== "(" && sign !== "[" && sign !== "\\{") throw new NoExpression();
    const items = this.items();
    if (sign === "\\{") {
      if (!this.takes("\\}")) throw new NoExpression();
      return { kind: "list", open: "{", close: "}", items };
    }
    const close = this.takes(")") ? ")" : this.takes("]") ? "]" : undefined;
    if (close === undefined || (items.length !== 2 && (sign === "(") !== (close === ")"))) throw new NoExpression();
    return { kind: "list", open: sign, close, items };
  }

  private named(name: string): Expression {
    switch (name) {
      case "pi":
      case "e":
      case "i":
        return { kind: "constant", name };
      case "infty":
      case "infinity":
      case "inf":
        return { kind: "constant", name: "infinity" };
      case "frac":
        return { kind: "quotient", left: this.argument(), right: this.argument() };
      case "binom":
        return { kind: "binomial", n: this.argument(), k: this.argument() };
      case "sqrt":
        return this.root(undefined);
      case "cbrt":
        return this.root(whole("3"));
      case "log": {
        const base = this.takes("_") ? this.argument() : whole("10");
        return this.applied((of) => ({ kind: "log", base, of }));
      }
      case "lfloor":
      case "lceil": {
        const of = this.sum();
        if (!this.takes(name === "lfloor" ? "rfloor" : "rceil")) throw new NoExpression();
        return { kind: "function", name: name === "lfloor" ? "floor" : "ceil", of };
      }
    }
    if (name.startsWith("begin{")) return this.matrix(name.slice("begin".length));
    const called = otherNames[name] ?? name;
    if (isFunction(called) && called !== "factorial")
      return this.applied((of) => ({ kind: "function", name: called, of }));
    // Other commands are Greek letters and the like.
    return { kind: "variable", name: this.subscripted(name) };
  }

  private subscripted(name: string): string {
    if (!this.takes("_")) return name;
    if (!this.takes("{")) return `${name}_${this.next().text}`;
    let index = "";
    while (!this.takes("}")) index += this.next().text;
    return `${name}_${index}`;
  }

  private root(degree: Expression | undefined): Expression {
    let order = degree ?? whole("2");
    if (degree === undefined && this.takes("[")) {
      order = this.sum();
      if (!this.takes("]")) throw new NoExpression();
    }
    return { kind: "power", left: this.argument(), right: { kind: "quotient", left: whole("1"), right: order } };
  }

  /** sin x, sin(x), sin^2 x, sin 2x: what it is applied to reaches to the next sign. */
  private applied(make: (of: Expression) => Expression): Expression {
    const exponent = this.takes("^") ? this.argument() : undefined;
    const next = this.peek()?.text;
    let of: Expression;
    if (next === "(" || next === "{" || next === "[" || next === "|") of = this.factor();
    else {
      of = this.signedFactor();
      while (this.startsFactor() && !this.startsFunction()) of = { kind: "product", left: of, right: this.factor() };
    }
    if (exponent === undefined) return make(of);
    if (exponent.kind !== "negative") return { kind: "power", left: make(of), right: exponent };
    // sin^{-1} is the inverse function, of which only these have names here.
    const applied = make(of);
    const inverse = applied.kind === "function" ? `arc${applied.name}` : "";
    if (isFunction(inverse)) return { kind: "function", name: inverse, of };
    throw new NoExpression();
  }

  private signedFactor(): Expression {
    return this.takes("-") ? { kind: "negative", of: this.factor() } : this.factor();
  }

  private startsFunction(): boolean {
    const text = this.peek()?.text ?? "";
    return isFunction(otherNames[text] ?? text) || text === "log";
  }

  /** What LaTeX takes for an argument: a group in braces, or the next digit or name. */
  private argument(): Expression {
    const token = this.next();
    if (token.text === "{") {
      const inner = this.sum();
      if (!this.takes("}")) throw new NoExpression();
      return inner;
    }
    if (token.text === "-" || token.text === "+") {
      const of = this.argument();
      return token.text === "-" ? { kind: "negative", of } : of;
    }
    if (token.kind !== "number") return token.kind === "name" ? this.named(token.text) : this.bracketed(token.text);
    const previous = this.tokens[this.at - 2]?.text;
    const isPlainPower =
      previous === "^" || previous === "-" || previous === "_" || previous === "sqrt" || token.text.includes(".");
    if (token.text.length === 1 || isPlainPower) return whole(token.text);
    // \frac12: one digit, and the rest stays.
    (this.tokens as Token[]).splice(this.at, 0, { kind: "number", text: token.text.slice(1) });
    return whole(token.text[0]!);
  }

  private matrix(environment: string): Expression {
    if (!/^\{(?:[pbvBV]?matrix|smallmatrix|array)\}$/.test(environment)) throw new NoExpression();
    if (environment === "{array}" && this.takes("{")) while (!this.takes("}")) this.next();
    const rows: Expression[][] = [[]];
    for (;;) {
      rows.at(-1)!.push(this.sum());
      if (this.takes("&")) continue;
      if (this.takes("\\\\") && this.peek()?.text !== `end${environment}`) {
        rows.push([]);
        continue;
      }
      if (!this.takes(`end${environment}`)) throw new NoExpression();
      return { kind: "matrix", rows };
    }
  }

  private peek(): Token | undefined {
    return this.tokens[this.at];
  }

  private next(): Token {
    const token = this.tokens[this.at];
    if (token === undefined) throw new NoExpression();
    this.at += 1;
    return token;
  }

  private takes(text: string): boolean {
    const token = this.tokens[this.at];
    if (token?.text !== text) return false;
    this.at += 1;
    return true;
  }
}
