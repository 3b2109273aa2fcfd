/**
 * A change of the writer, where several nodes share one ledger: the moment, by the lease clock, and whether the
 * database is another one from then on, or a standby that was promoted.
 */
export interface SeatChange {
  readonly at_ms: number
  readonly is_failover: boolean
}

/** After a change of the writer a lease lasts at least this long, or its full length if that is less. */
const graceMillis = 30_000
/** The longest lease. Changes of the database are remembered for as long. */
const leaseMillisMax = 86_400_000
/** A change that comes while so many are remembered extends no lease. */
const changesMax = 256

/**
 * The changes to remember after another one, oldest first. Only the first change after the grant or renewal of a lease
 * extends it. So a change is forgotten once it extends no lease any more and a later one is as old.
 */
export function withChange(changes: readonly SeatChange[], change: SeatChange): readonly SeatChange[] {
  const isOver = ({ at_ms, is_failover }: SeatChange) =>
    change.at_ms - at_ms > (is_failover ? leaseMillisMax : graceMillis)
  const kept = changes.filter((each, index) => {
    const laterOver = changes
      .slice(index + 1)
      .some((later) => isOver(later) && (later.is_failover || !each.is_failover))
    return !isOver(each) || !laterOver
  })
  return kept.length >= changesMax ? kept : [...kept, change]
}

/**
 * Milliseconds that the changes since a lease began leave of it at least; undefined if there was none. The holder could
 * not reach a writer for a while, so after the first change the lease lasts for 30 s, or for its full length if that is
 * less. After a failover of the database the newest renewals may be lost, so it lasts for its full length. Later changes
 * do not extend it: a holder that is gone keeps its lock no longer, however often the writer changes.
 */
export function graceRemainingMillis(
  lease: { beganMillis: number; fullMillis: number },
  changes: readonly SeatChange[],
  nowMillis: number,
): number | undefined {
  const since = changes.filter(({ at_ms }) => at_ms >= lease.beganMillis)
  const [first, failover] = [since[0], since.find(({ is_failover }) => is_failover)]
  const ends: number[] = []
  if (first !== undefined) ends.push(first.at_ms + Math.min(lease.fullMillis, graceMillis))
  if (failover !== undefined) ends.push(failover.at_ms + lease.fullMillis)
  return ends.length === 0 ? undefined : Math.max(...ends) - nowMillis
}
