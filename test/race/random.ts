import { randomInt } from 'node:crypto'

/** Random numbers from a seed, which is printed and, as `LOCKSTEP_SEED`, taken back (mulberry32). */
export function random(): { seed: number; below: (limit: number) => number } {
  const seed = Number(process.env.LOCKSTEP_SEED ?? randomInt(2 ** 31))
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { seed, below: (limit) => Math.floor(next() * limit) }
}
