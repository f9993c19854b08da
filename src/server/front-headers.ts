/** What fronts and owner tell each other about a request that is handed on. */

/** Who is asking: the client's address. Only the owner's local socket believes it. */
export const CLIENT_HEADER = "x-registry-cache-client";

/** The names of the client's certificate, separated by spaces. */
export const CERTIFICATE_HEADER = "x-registry-cache-certificate";

/** By which address it came in: the position in `listen`. */
export const LISTEN_HEADER = "x-registry-cache-listen";

/** What is wrong with the client's certificate, where it shows one that is not accepted; for the log. */
export const FAULT_HEADER = "x-registry-cache-certificate-fault";

/** Whether the client speaks TLS. */
export const SECURE_HEADER = "x-registry-cache-secure";

/** In the owner's answers: the password that came with the request is right. */
export const RIGHT_HEADER = "x-registry-cache-right";

export const FRONT_HEADERS = [
  CLIENT_HEADER,
  CERTIFICATE_HEADER,
  FAULT_HEADER,
  LISTEN_HEADER,
  SECURE_HEADER,
  RIGHT_HEADER,
] as const;
