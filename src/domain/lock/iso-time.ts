const date = String.raw`(\d{4})-?(\d\d)-?(\d\d)`
const clock = String.raw`(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?`
const zone = String.raw`(?:(z)|([+-])(\d\d)(?::?(\d\d))?)?`
const pattern = new RegExp(`^${date}[t ]${clock}${zone}$`, 'i')

/**
 * The moment that an ISO 8601 text states, in milliseconds; undefined if it states none. Other tools write the extended
 * or the basic form, leave out the seconds, or write offsets as `+01:00`, `+0100` or `+01`. A time without a zone is
 * UTC: a lock file has no other place that could name its zone (docs/explanation/lock-protocol.md).
 */
export function isoMillis(text: string): number | undefined {
  const found = pattern.exec(text)
  if (found === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found
    .slice(1, 7)
    .map((part) => Number(part ?? 0))
  const millis = Math.trunc(Number(`0.${found[7] ?? 0}`) * 1000)
  const [sign, zoneHours, zoneMinutes] = [found[9] === '-' ? -1 : 1, Number(found[10] ?? 0), Number(found[11] ?? 0)]
  if (hour > 23 || minute > 59 || second > 59 || zoneHours > 23 || zoneMinutes > 59) return undefined
  const midnight = new Date(Date.UTC(year, month - 1, day))
  midnight.setUTCFullYear(year)
  // Date.UTC takes 30 February for 2 March.
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return undefined
  const ofDay = ((hour * 60 + minute) * 60 + second) * 1000 + millis
  return midnight.getTime() + ofDay - sign * (zoneHours * 60 + zoneMinutes) * 60_000
}
