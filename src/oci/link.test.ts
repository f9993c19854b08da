import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { LINKS_MAX, LINK_HEADER_LENGTH_MAX, LINK_PARAMS_MAX, nextLink, parseLinks } from "./link.ts";

const plain = (header: string) => parseLinks(header).map(({ target, params }) => [target, Object.fromEntries(params)]);

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,7}$/);
const target = fc.stringMatching(/^[!-=?-~]{0,30}$/);
const quotable = fc.stringMatching(/^[ -~]{0,12}$/);
const blank = fc.stringMatching(/^[ \t]{0,2}$/);
const link = fc.record({
  target,
  params: fc.uniqueArray(fc.tuple(token, quotable), { selector: ([name]) => name, maxLength: 4 }),
});

/** Quoted where it must be, and quoted or not where it need not. */
function written(value: string, quoted: boolean): string {
  const isToken = /^[a-z0-9-]+$/.test(value);
  return isToken && !quoted ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

suite("a Link header", () => {
  test("is read back as it was written, whatever the blanks, quotes and case", () => {
    prove(
      fc.property(fc.array(link, { maxLength: 5 }), blank, fc.boolean(), (links, gap, quoted) => {
        const texts = links.map(({ target: to, params }) => {
          const rest = params.map(
            ([name, value]) => `${gap};${gap}${name.toUpperCase()}${gap}=${gap}${written(value, quoted)}`,
          );
          return `<${to}>${rest.join("")}`;
        });
        const expected = links.map(({ target: to, params }) => [to, Object.fromEntries(params)]);
        assert.deepEqual(plain(texts.join(`${gap},${gap}`)), expected);
      }),
    );
  });

  test("never throws and stays bounded, whatever it says", () => {
    const pieces = fc.constantFrom("<", ">", ";", ",", '"', "\\", "=", " ", "\t", "rel", "next", "/v2/", "é", "\0");
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 60 }).map((all) => all.join("")),
    );
    prove(
      fc.property(text, (header) => {
        for (const { target: to, params } of parseLinks(header)) {
          assert.ok(header.includes(`<${to}>`));
          for (const name of params.keys()) assert.match(name, /^[^=;,]+$/);
        }
        nextLink(header);
      }),
    );
    assert.equal(parseLinks("<a>,".repeat(LINKS_MAX + 1)).length, LINKS_MAX);
    const many = Array.from({ length: LINK_PARAMS_MAX + 1 }, (_, index) => `;p${index}=1`).join("");
    assert.equal(parseLinks(`<a>${many}`)[0]?.params.size, LINK_PARAMS_MAX);
    assert.deepEqual(parseLinks(`<a>;x=${"y".repeat(LINK_HEADER_LENGTH_MAX)}`), []);
  });

  test("gives what is clear of a malformed one, and goes on after the comma", () => {
    assert.deepEqual(plain('nonsense, <a>; rel=next, also "quoted, comma", <b>'), [
      ["a", { rel: "next" }],
      ["b", {}],
    ]);
    assert.deepEqual(plain('<a>; rel="never closed, <b>'), [["a", { rel: "never closed, <b>" }]]);
    assert.deepEqual(plain("<a>; flag; =x; rel=next;"), [["a", { flag: "", rel: "next" }]]);
    assert.deepEqual(plain("<never closed; rel=next"), []);
    assert.deepEqual(plain('<a,b;c>; title="x;y,z"; title=second'), [["a,b;c", { title: "x;y,z" }]]);
  });
});

suite("the next page", () => {
  test("is a target of the header or none, whatever is wrong with it", () => {
    const almost = nearly([
      '</v2/a/b/tags/list?last=x&n=100>; rel="next"',
      '<https://quay.io/v2/a/tags/list?n=1>; rel="prev next"; title="a, \\"b\\""; anchor="", </c>; REL=next',
    ]);
    prove(
      fc.property(fc.array(almost, { maxLength: 3 }), (headers) => {
        const found = nextLink(headers);
        assert.ok(found === undefined || headers.some((header) => header.includes(`<${found}>`)));
        for (const header of headers) assert.ok(parseLinks(header).length <= LINKS_MAX);
      }),
    );
  });

  test("is the first link of that relation, relative or absolute", () => {
    const path = "/v2/a/b/tags/list?last=x&n=100";
    for (const rel of ['"next"', "next", "NEXT", '"prev next"', '"last\tNext"']) {
      assert.equal(nextLink(`<${path}>; rel=${rel}`), path);
    }
    assert.equal(nextLink(`<https://quay.io${path}>; rel="next"`), `https://quay.io${path}`);
    assert.equal(nextLink(`</first>; rel="first", <${path}>; rel="next", </other>; rel="next"`), path);
    assert.equal(nextLink(["</first>; rel=first", `<${path}>; rel=next`]), path);
  });

  test("is none without such a relation, or where the link is about another resource", () => {
    const none = [
      "",
      "</a>",
      "</a>; rel=prev",
      '</a>; rel="nexto"',
      "</a>; rel=prev; rel=next",
      '</a>; rel=next; anchor="#x"',
    ];
    for (const header of [undefined, [], ...none]) assert.equal(nextLink(header), undefined, String(header));
  });
});
