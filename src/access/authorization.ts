/** User and password of HTTP's Basic scheme (RFC 7617); undefined for anything else, and for what is too long once encoded. */
export function basicCredentials(
  header: string | undefined,
  lengthMax = ENCODED_LENGTH_MAX,
): { user: string; password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header ?? "")?.[1];
  if (encoded === undefined || encoded.length > lengthMax) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Whether neither user nor password stands in a header of the Basic scheme, which Skopeo and Podman send when they have none. */
export function saysNothing(header: string | undefined): boolean {
  const credentials = basicCredentials(header);
  return credentials?.user === "" && credentials.password === "";
}

/** Longer ones are nobody's user and password, and each costs a hash. */
const ENCODED_LENGTH_MAX = 1_024;

/** The token of the Bearer scheme (RFC 6750); undefined for anything else. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header ?? "")?.[1];
}
