import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseWrk } from "./wrk.ts";

/** As Debian's wrk 4.1.0 prints it. */
function output({ total, p99 = "109.85ms", more = "" }: { total: string; p99?: string; more?: string }): string {
  return `Running 1s test @ http://127.0.0.1:40123/v2/library/hot/manifests/1
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    15.53ms   26.90ms 111.23ms   86.01%
    Req/Sec     2.42k   843.45     3.70k    60.00%
  Latency Distribution
     50%    1.35ms
     75%   20.94ms
     90%   57.90ms
     99%  ${p99}
  ${total}
${more}Requests/sec:   2372.02
Transfer/sec:      2.44MB
`;
}

describe("parseWrk", () => {
  it("reads requests, time, bytes and the 99th percentile", () => {
    assert.deepEqual(parseWrk(output({ total: "2490 requests in 1.04s, 2.50MB read" })), {
      requests: 2490,
      seconds: 1.04,
      bytes: 2.5 * 2 ** 20,
      p99Ms: 109.85,
      errors: 0,
    });
  });

  it("knows wrk's units", () => {
    const large = parseWrk(output({ total: "12 requests in 1.50m, 1.25GB read", p99: "1.20s" }));
    assert.deepEqual([large.seconds, large.bytes, large.p99Ms], [90, 1.25 * 2 ** 30, 1200]);
    const small = parseWrk(output({ total: "3 requests in 4.00s, 512.00B read", p99: "250.00us" }));
    assert.deepEqual([small.bytes, small.p99Ms], [512, 0.25]);
  });

  it("counts refusals and broken connections, not the responses that outlast the load", () => {
    const more = "  Socket errors: connect 1, read 20, write 300, timeout 7\n  Non-2xx or 3xx responses: 4000\n";
    assert.equal(parseWrk(output({ total: "5000 requests in 4.00s, 1.00MB read", more })).errors, 4321);
  });

  it("does not take anything else for a measurement", () => {
    assert.throws(() => parseWrk("unable to connect to 127.0.0.1:1 Connection refused\n"), /unable to connect/);
  });
});
