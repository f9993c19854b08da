import { basicCredentials } from "../access/authorization.ts";
import { TOKEN_TOLD_S } from "../access/tokens.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Exchange } from "./exchange.ts";
import { readForm } from "./form.ts";
import type { Handler } from "./handler.ts";
import type { RegistryTable } from "./find-registry.ts";
import { callerOf, passesToOf, TOKEN_PATH } from "./guard.ts";
import { sendJson } from "./respond.ts";

/**
 * The token service of the distribution's token flow: GET with Basic (docs: registry/spec/auth/token), and POST with a form as OAuth2
 * has it. Scopes are accepted and say nothing: what somebody may pull is asked at each pull.
 */
export function tokenEndpoint(registries: Pick<RegistryTable, "ofHost">): Handler {
  const issue = async (exchange: Exchange, passesTo: string | undefined) => {
    exchange.notes.endpoint = "token";
    const { access, req } = exchange;
    if (req.method !== "POST" && req.method !== "GET") {
      throw new RegistryError(405, "UNSUPPORTED", "tokens are had by GET or POST", { headers: { Allow: "GET, POST" } });
    }
    if (req.method === "POST" || passesTo !== undefined) {
      // A token is not had by a token: it would be good for ever.
      const header =
        req.method === "POST"
          ? headerOf(new URLSearchParams((await readForm(req)).toString("utf8")))
          : basicOnly(req.headers.authorization);
      exchange.identity = await access.identify({ ...callerOf(exchange), authorization: header, passesTo });
    }
    const { identity } = exchange;
    const token = passesTo === undefined ? access.tokenFor(identity) : access.sealedFor(identity, passesTo);
    const issued_at = new Date().toISOString();
    const body = { token, access_token: token, expires_in: TOKEN_TOLD_S, issued_at, token_type: "Bearer" };
    sendJson(exchange, 200, body, { "Cache-Control": "no-store" });
    return true;
  };
  return (exchange) => {
    if (exchange.path !== TOKEN_PATH) return false;
    const passesTo = passesToOf(exchange, registries);
    return exchange.access.issuesTokens(passesTo) && issue(exchange, passesTo);
  };
}

function basicOnly(authorization: string | undefined): string | undefined {
  return basicCredentials(authorization, Infinity) === undefined ? undefined : authorization;
}

/** The same credentials as the Basic scheme's header; undefined for a grant of another kind. */
function headerOf(form: URLSearchParams): string | undefined {
  if (form.get("grant_type") !== "password") {
    // Docker has such a token where another program logged it in (`az acr login`).
    const message = "the only grant_type here is password: log in with a user and a password, not with a token";
    throw new RegistryError(400, "UNSUPPORTED", message);
  }
  const offered = `${form.get("username") ?? ""}:${form.get("password") ?? ""}`;
  return offered === ":" ? undefined : `Basic ${Buffer.from(offered).toString("base64")}`;
}
