import { type DestinationStream, destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import { logLine } from "./log-lines.ts";

export interface LoggerOptions {
  readonly format: "json" | "pretty";
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  /** File descriptor: 1 unless standard output is for data. */
  readonly descriptor?: 1 | 2;
  /** Whether pretty lines are coloured; none are by default. */
  readonly colors?: boolean;
}

/** No such thing should be logged in the first place; should a field ever slip in, its value does not. */
const SECRET_KEYS = ["authorization", "Authorization", "password", "token", "credentials"] as const;
const SECRET_PATHS = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.headers.${key}`]);

/** A logger that writes each line before it returns, so that the last words before an exit are not lost. */
export function createLogger(options: LoggerOptions): Logger {
  const written = destination({ dest: options.descriptor ?? 1, sync: true });
  return loggerTo(written, options);
}

/** As `createLogger`, to a stream of the caller's. */
export function loggerTo(stream: DestinationStream, options: Omit<LoggerOptions, "descriptor">): Logger {
  const isPretty = options.format === "pretty";
  return pino(
    {
      level: options.level,
      // Neither the process's id nor the host's name: whatever collects logs knows both.
      base: null,
      redact: { paths: SECRET_PATHS, censor: "********" },
      ...(isPretty ? {} : { formatters: { level: (label: string) => ({ level: label }) }, timestamp: isoTime }),
    },
    isPretty ? prettyTo(stream, options.colors ?? false) : stream,
  );
}

/**
 * For the one line a request: its fields are named in one place and none of them is a secret, so that the search for secrets,
 * a third of what a small answer costs, is left out.
 */
export function requestLogger(log: Logger): Logger {
  return log.child({}, { redact: [] });
}

function isoTime(): string {
  return `,"time":"${new Date().toISOString()}"`;
}

function prettyTo(stream: DestinationStream, colors: boolean): DestinationStream {
  const format = pretty.prettyFactory({
    colorize: colors,
    // `logLine` paints the parts of the message itself.
    customColors: "message:reset",
    useOnlyCustomProps: false,
    translateTime: "SYS:HH:MM:ss",
    customPrettifiers: { time: (time) => (typeof time === "string" ? time : "") },
    // `logLine` has put the object into the line.
    hideObject: true,
    messageFormat: (record, messageKey, _label, { colors: paint }) => logLine(record, messageKey, paint),
  });
  return { write: (line) => stream.write(format(line)) };
}
