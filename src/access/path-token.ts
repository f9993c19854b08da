/** 128 bits in the letters that URLs do without encoding: whoever has it can pull, so that nobody may guess it. */
const PATH_TOKEN = /^[A-Za-z0-9_-]{22,200}$/;

/** Of a file with one of them. */
export const TOKEN_FILE_BYTES_MAX = 4 * 1024;

/** Whether a text is good as the secret in `/t/<token>`. */
export function isPathToken(text: string): boolean {
  return PATH_TOKEN.test(text);
}
