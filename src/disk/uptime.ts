import { uptime } from 'node:os'

const bootReadMillis = 1_000
const clocksApartMillisMax = 50
let bootRead = { boot: 0, steady: Number.NEGATIVE_INFINITY, wall: 0 }

/**
 * Milliseconds since the machine started, including suspend. On Linux they are read from a file, so they are read once
 * a second and extended with the monotonic clock. That clock stops while the machine is suspended and the wall clock
 * does not, so a difference between them shows a suspend.
 */
export function bootMillis(wall: number = Date.now()): number {
  const steady = performance.now()
  const passed = steady - bootRead.steady
  const isApart = Math.abs(wall - bootRead.wall - passed) > clocksApartMillisMax
  if (passed > bootReadMillis || isApart) bootRead = { boot: uptime() * 1000, steady, wall }
  return bootRead.boot + steady - bootRead.steady
}
