import { resolve } from "node:path";
import { shown } from "../lib/units.ts";
import { ValueError } from "../lib/value-error.ts";
import type { Webhook } from "./config.ts";
import { EVENT_NAMES } from "./event-names.ts";
import { openToAllWarnings, readBounded } from "./files.ts";
import type { Finding } from "./issues.ts";
import type { WebhookInput } from "./schema.ts";
import { readSecretText } from "./values.ts";

const SECRET_BYTES_MAX = 64 * 1024;

export interface ReadWebhooks {
  readonly webhooks: readonly Webhook[];
  readonly findings: readonly Finding[];
  /** What works but should not stay so. */
  readonly warnings: readonly string[];
}

/** Reads `webhooks:`; the names of its files are relative to `folder`. */
export async function readWebhooks(inputs: readonly WebhookInput[], folder: string): Promise<ReadWebhooks> {
  const findings: Finding[] = [];
  const warnings: string[] = [];
  const webhooks: Webhook[] = [];
  for (const [index, input] of inputs.entries()) {
    const at = (key: string) => ["webhooks", index, key];
    const { url, secret, secret_file: file, events = EVENT_NAMES } = input;
    if (secret !== undefined && file !== undefined)
      findings.push({ path: at("secret"), message: "stands there twice", hint: "remove `secret` or `secret_file`" });
    if (input.events?.length === 0)
      findings.push({ path: at("events"), message: "has no event: nothing would be told", hint: "remove it for all" });
    const read =
      file === undefined
        ? secret
        : await secretOf(file, folder, (finding) => {
            findings.push({ path: at("secret_file"), ...finding });
          });
    if (file !== undefined)
      warnings.push(...(await openToAllWarnings(resolve(folder, file), `the webhook's secret ${shown(file)}`)));
    webhooks.push({ url, events: [...new Set(events)], secret: read });
  }
  return { webhooks, findings, warnings };
}

async function secretOf(
  file: string,
  folder: string,
  found: (finding: { message: string; hint: string | undefined }) => void,
): Promise<string | undefined> {
  const bytes = await readBounded(resolve(folder, file), SECRET_BYTES_MAX);
  if (!Buffer.isBuffer(bytes)) {
    found({ message: `${shown(file)} ${bytes.message}`, hint: bytes.hint });
    return undefined;
  }
  try {
    return readSecretText(bytes.toString("utf8").replace(/\r?\n$/, ""), "a text");
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    found({ message: `${shown(file)} ${error.message}`, hint: error.hint });
    return undefined;
  }
}
