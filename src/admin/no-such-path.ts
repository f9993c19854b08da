import { ProblemError } from "../server/problem.ts";

export function noSuchPath(path: string): ProblemError {
  return new ProblemError(404, `there is no ${path} here; GET /api/v1/openapi.json says what there is`);
}
