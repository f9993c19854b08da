import { readFileSync } from "node:fs";
import path from "node:path";

import { wheelPath, WHEELS } from "../wheels.ts";

/** As far as the schemas of Kubernetes's own API use it. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
}

const folder = (): string => wheelPath(WHEELS["kubernetes-schemas"]);
const read = (file: string): Schema & { $defs?: Record<string, Schema> } =>
  JSON.parse(readFileSync(path.join(folder(), file), "utf8")) as Schema;

/** What is wrong with objects of Kubernetes, a line for each: unknown keys, missing ones, values of another type. */
export function schemaProblems(objects: readonly KubernetesObject[]): string[] {
  const definitions = read("_definitions.json").$defs ?? {};
  return objects.flatMap((object) => {
    const [group, version] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : ["", object.apiVersion];
    const name = [object.kind.toLowerCase(), group?.split(".", 1)[0] ?? "", version].filter((part) => part !== "");
    return problems(object, read(`${name.join("-")}.json`), object.kind, definitions);
  });
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function problems(value: unknown, schema: Schema, at: string, definitions: Record<string, Schema>): string[] {
  if (schema.$ref !== undefined) {
    const target = definitions[schema.$ref.replace(/^.*\/\$defs\//, "")];
    return target === undefined ? [`${at}: no schema ${schema.$ref}`] : problems(value, target, at, definitions);
  }
  const under = (one: unknown, of: Schema, key: string | number) => problems(one, of, `${at}.${key}`, definitions);
  if (schema.oneOf !== undefined) {
    return schema.oneOf.some((one) => problems(value, one, at, definitions).length === 0)
      ? []
      : [`${at}: fits nothing`];
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOf(type, value))) return [`${at}: is no ${types.join(" or ")}`];
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${at}: is none of ${schema.enum.join(", ")}`];
  if (Array.isArray(value)) return value.flatMap((one, index) => under(one, schema.items ?? {}, index));
  if (typeof value !== "object" || value === null) return [];
  const missing = (schema.required ?? []).filter((key) => !(key in value)).map((key) => `${at}: has no ${key}`);
  const wrong = Object.entries(value).flatMap(([key, one]) => {
    const known = schema.properties?.[key];
    if (known !== undefined) return under(one, known, key);
    if (typeof schema.additionalProperties === "object") return under(one, schema.additionalProperties, key);
    return schema.properties === undefined ? [] : [`${at}: has no key ${key}`];
  });
  return [...missing, ...wrong];
}

function isOf(type: string, value: unknown): boolean {
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  return typeof value === type;
}
