// limit: 240
import { spawn } from 'node:child_process'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import type { Lived, Point } from '../../fixtures/crash/lives.ts'
import { below, oneOf, randomFrom } from '../../fixtures/random.ts'
import { compiled } from '../support/compiled.ts'
import { printedSeed } from '../support/seed.ts'
import { type Preload, preload } from './preloaded.ts'

const { EDQUOT, EINTR, EIO, EMFILE, ENOSPC, EROFS } = constants.errno
const errors = { EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EINTR }
const nameOf = (error: number) => Object.entries(errors).find(([, number]) => number === error)?.[0] ?? 'none'

/** From so many rounds on every call fails once with every error; below, so many calls are chosen by the seed. */
const roundsForAll = 1_000
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 12)
/** A disk that fails for good, as it is with some of the chosen ones. */
const forGood = 1_000_000

const calls = suite('a system call that fails')

calls('gives an error with a code and an outcome, and the next open works and verifies', async () => {
  const [lived] = (await lives([{ nth: 0, times: 0, error: EIO }])) ?? []
  if (lived === undefined) return
  ok(lived.calls > 800, `a life has ${lived.calls} calls`)
  equal([lived.findings, lived.failures.map(({ code }) => code)], [[], ['LOCK_NOT_ORPHAN']])
  const points = pointsOf(lived.calls)
  console.log(`${points.length} of ${lived.calls} calls × ${Object.keys(errors).length} errors`)
  const findings = ((await lives(points)) ?? []).flatMap(({ error, findings, nth, times }) =>
    findings.map((finding) => `call ${nth}${times > 1 ? ' and all after it' : ''} with ${nameOf(error)}: ${finding}`),
  )
  for (const finding of findings) console.log(finding)
  equal(findings, [])
})

calls.run()

function pointsOf(count: number): Point[] {
  const random = randomFrom(printedSeed('system calls'))
  const numbers = Object.values(errors)
  if (rounds < roundsForAll) {
    return Array.from({ length: rounds }, () => {
      const error = oneOf(numbers, random)
      // A call that was interrupted is made again, so nobody is interrupted for good.
      const isForGood = error !== EINTR && random() < 0.2
      return { nth: 1 + below(count, random), times: isForGood ? forGood : 1, error }
    })
  }
  const each = Array.from({ length: count }, (_, index) => index + 1)
  return numbers.flatMap((error) => each.map((nth) => ({ nth, times: 1, error })))
}

/** Lives with one failure each, some processes at a time; undefined where calls cannot be made to fail. */
async function lives(points: readonly Point[]): Promise<Lived[] | undefined> {
  const queue = points.values()
  const count = Math.min(points.length, availableParallelism())
  const preloads = Array.from({ length: count }, () => preload())
  if (preloads.includes(undefined)) return undefined
  const lived = await Promise.all(preloads.map((each) => livesOf(each as Preload, queue)))
  return lived.flat()
}

/** One process that lives one life after the other. */
async function livesOf({ env, folder, state }: Preload, queue: IterableIterator<Point>): Promise<Lived[]> {
  const child = spawn(process.execPath, [compiled('fixtures/crash/lives.ts'), folder, state], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const lived: Lived[] = []
  for (const point of queue) {
    child.stdin.write(`${JSON.stringify(point)}\n`)
    const { done, value } = await answers.next()
    if (done === true) throw new Error(`the process ended at ${JSON.stringify(point)}: ${stderr}`)
    lived.push(JSON.parse(value) as Lived)
  }
  child.stdin.end()
  return lived
}
