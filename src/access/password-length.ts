/** bcrypt looks at no more, and takes what is behind a NUL for nothing: several texts would be one password. */
export const PASSWORD_BYTES_MAX = 72;
