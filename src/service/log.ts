import { type Logger, pino } from 'pino'

export type Log = Pick<Logger, 'debug' | 'error' | 'info' | 'warn'>

/**
 * The log of the service: JSON lines on stderr, or nothing. Requests are logged at `debug`, failures of the service at
 * `error`. LOCKSTEP_LOG_LEVEL sets the level. Inputs are never logged, and secrets in errors are removed.
 */
export function logOf(isOn: boolean): Log {
  if (!isOn) return pino({ level: 'silent' })
  const { LOCKSTEP_LOG_LEVEL: level = 'info' } = process.env
  const secrets = ['lock_id', 'lock_ids', 'token', 'secret', 'authorization']
  return pino(
    {
      level: Object.hasOwn(pino.levels.values, level) ? level : 'info',
      base: { pid: process.pid },
      redact: { paths: secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  )
}
