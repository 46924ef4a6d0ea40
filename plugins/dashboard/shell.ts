import type { Build } from './page.ts'

/** The flame of the page, as an icon that needs no request. */
const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="#c2410c"/><path d="M12.4 4.2c.5 2.9 4.4 4.5 4.4 8.9a4.8 4.8 0 0 1-9.6 0c0-1.9.9-3 1.8-4 .2 1.2.7 1.9 1.5 2.3-.3-2.6.3-5.3 1.9-7.2z" fill="#fff"/></svg>`,
  )

/** The HTML of every page: all else is made by the script. Addresses are relative, so that it also works below a path. */
export const shell = ({ script, style }: Build): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" content="#faf7f3" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#151210" media="(prefers-color-scheme: dark)">
<title>Hestia</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="dashboard/assets/${style}">
<script type="module" src="dashboard/assets/${script}"></script>
</head>
<body>
<div id="app"><noscript>This page needs JavaScript. What it shows is at <a href="v1/services">v1/services</a> too.</noscript></div>
</body>
</html>
`
