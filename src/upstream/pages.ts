import { nextLink } from "../oci/link.ts";
import { protocolError } from "./answers.ts";
import { headerValues } from "./bodies.ts";
import type { HttpAnswer } from "./request.ts";

export interface Page {
  readonly answer: HttpAnswer;
  readonly bytes: Uint8Array;
}

/**
 * Reads a list page by page, following `Link: <...>; rel="next"`. `read` gets what is left of `bytesMax`, and returns
 * undefined to end the list there. Loops, and lists of more than `pagesMax` pages, are errors: half a list would look whole.
 *
 * @throws UpstreamError `protocol`, or as `read` fails
 */
export async function readPages(
  start: URL,
  limits: { readonly pagesMax: number; readonly bytesMax: number },
  read: (url: URL, bytesMax: number) => Promise<Page | undefined>,
): Promise<Page[]> {
  const pages: Page[] = [];
  const seen = new Set<string>();
  let bytesLeft = limits.bytesMax;
  for (let url: URL | undefined = start; url !== undefined;) {
    seen.add(url.href);
    const page: Page | undefined = await read(url, bytesLeft);
    if (page === undefined) return pages;
    pages.push(page);
    bytesLeft -= page.bytes.length;
    url = nextPage(page.answer, url);
    if (url === undefined) break;
    if (seen.has(url.href)) throw protocolError(page.answer, "pages in a circle");
    if (pages.length >= limits.pagesMax) throw protocolError(page.answer, `more than ${limits.pagesMax} pages`);
  }
  return pages;
}

/**
 * The next page lies at the same host and path as this one, or as the one that we asked for: anywhere else nobody should
 * be led by a header. Only the query is taken over, since many registries behind a TLS proxy write `http://` there.
 */
function nextPage(answer: HttpAnswer, asked: URL): URL | undefined {
  const link = nextLink(headerValues(answer, "link"));
  if (link === undefined) return undefined;
  const target = URL.parse(link, answer.url.href);
  const base = [answer.url, asked].find((url) => url.hostname === target?.hostname && url.pathname === target.pathname);
  if (target === null || base === undefined) throw protocolError(answer, "a next page of another place");
  const next = new URL(base);
  next.search = target.search;
  return next;
}
