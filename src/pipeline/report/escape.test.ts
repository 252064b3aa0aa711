import { expect, test } from "vitest";
import { escapeHtml, html, visible } from "./escape.ts";

test("no character of HTML's syntax gets through, in an element or in an attribute", () => {
  expect(escapeHtml(`<a href="x" on='y'>&amp;\``)).toBe("&lt;a href=&quot;x&quot; on=&#39;y&#39;&gt;&amp;amp;&#96;");
  expect(html`<p title="${'"><script>'}">${"<b>"}</p>`.html).toBe('<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt;</p>');
  expect(html`${[html`<i>${1}</i>`, html`<i>${2}</i>`]}`.html).toBe("<i>1</i><i>2</i>");
});

test("what can't be seen is shown by number; what can be seen stays", () => {
  expect(visible("\u0000\u001b[31m\u007f\u009b")).toBe("\\u{0}\\u{1b}[31m\\u{7f}\\u{9b}");
  expect(visible("a\ud800b\udfff")).toBe("a\\u{d800}b\\u{dfff}");
  expect(visible("\u202egnp.exe\u2066")).toBe("\\u{202e}gnp.exe\\u{2066}");
  expect(visible("lines\r\nend, lone\r")).toBe("lines\nend, lone\\u{d}");
  const seen = "tab\there\n日本語 👩‍👩‍👧‍👦 é ₂ \u{1f600}";
  expect(visible(seen)).toBe(seen);
});
