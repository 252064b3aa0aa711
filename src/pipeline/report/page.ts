import { createHash } from "node:crypto";
import { type Html, html } from "./escape.ts";
import { style } from "./style.ts";

/**
 * A page that needs nothing else: no font, no picture, nothing from anywhere. Every text in it is escaped, and the page's own
 * policy forbids every script but `script`, by its digest.
 */
export const pageHtml = (title: string, body: Html, script?: string): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'${script === undefined ? "" : { html: `; script-src 'sha256-${digestOf(script)}'` }}">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${{ html: style }}</style>
</head>
<body>
<main>
${body}
</main>
${script === undefined ? "" : { html: `<script>${script}</script>\n` }}</body>
</html>
`.html;

const digestOf = (script: string): string => createHash("sha256").update(script).digest("base64");
