import { z } from "zod";

/** As far as tests read it. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

export interface ApiOperation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly description?: string }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, ApiResponse>>;
}

export interface ApiResponse {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

/** `GET /api/v1/status` -> the operation. */
export function operationsOf({ paths }: ApiDocument): ReadonlyMap<string, ApiOperation> {
  return new Map(
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    ),
  );
}

/** What is wrong with a value by a schema of the document, in which nothing may stand that the document does not name. */
export function faultOf({ components }: ApiDocument, schema: object, value: unknown): string | undefined {
  const whole = closed({ ...schema, $defs: components.schemas }) as Parameters<typeof z.fromJSONSchema>[0];
  const result = z.fromJSONSchema(whole).safeParse(value);
  return result.success ? undefined : z.prettifyError(result.error);
}

/** Objects that do not say that there may be more have no more. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => {
    if (key === "$ref") return [key, String(value).replace("#/components/schemas/", "#/$defs/")] as const;
    return [key, key === "example" || key === "enum" ? value : closed(value)] as const;
  });
  const all = Object.fromEntries(entries);
  const isOpen = all["type"] !== "object" || "additionalProperties" in all || !("properties" in all);
  return isOpen ? all : { ...all, additionalProperties: false };
}
