import { type Answer, EMPTY, partOf } from "./answer.ts";

/** Takes a single range as S3 does; several ranges and nonsense are ignored. */
export function takeRange(answer: Answer, header: string | undefined): Answer {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || answer.rangeable !== true || answer.status !== 200) return answer;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return answer;
  const size = answer.body.size;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (start > end) return { status: 416, headers: { "content-range": `bytes */${size}` }, body: EMPTY };
  return {
    status: 206,
    headers: { ...answer.headers, "content-range": `bytes ${start}-${end}/${size}` },
    body: partOf(answer.body, start, end - start + 1),
  };
}
