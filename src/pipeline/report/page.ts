import { type Html, html } from "./escape.ts";
import { style } from "./style.ts";

/**
 * A page that needs nothing else: no script, no font, no picture from anywhere. Every text in it is escaped, and the page's
 * own policy forbids scripts as well.
 */
export const pageHtml = (title: string, body: Html): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${{ html: style }}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.html;
