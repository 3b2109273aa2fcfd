import { mock } from 'node:test'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { FolderQueue } from '../../src/files/deliverable/folder-queue.ts'
import { limits } from '../../src/kernel/limits.ts'
import { refusal, turns } from './stage.ts'

const queue = suite('steps on lock files')

/** Steps that last until they are ended, and what has begun so far. */
function stage() {
  const folders = new FolderQueue()
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const run = (folder: string, step: string) =>
    folders.run(folder, async () => {
      begun.push(step)
      await new Promise<void>((resolve) => ends.set(step, resolve))
      return step
    })
  return { begun, run, end: (step: string) => ends.get(step)?.() }
}

queue('are taken one at a time for each folder, in the order they came, and side by side for others', async () => {
  const { begun, run, end } = stage()
  const work = [run('a', 'a1'), run('a', 'a2'), run('b', 'b1'), run('a', 'a3')]
  await turns()
  equal(begun, ['a1', 'b1'])
  end('a1')
  await turns()
  equal(begun, ['a1', 'b1', 'a2'])
  for (const step of ['a2', 'b1']) end(step)
  await turns()
  end('a3')
  equal(await Promise.all(work), ['a1', 'a2', 'b1', 'a3'])
})

queue('that fail are those of their caller alone', async () => {
  const folders = new FolderQueue()
  const failed = folders.run('a', () => Promise.reject(new Error('no')))
  const next = folders.run('a', async () => 'next')
  await failed.catch(({ message }: Error) => is(message, 'no'))
  is(await next, 'next')
})

queue('are taken in no more of them whenever another comes as one ends and one waits', async () => {
  for (let later = 0; later < 10; later += 1) {
    const { begun, run, end } = stage()
    const work = Array.from({ length: limits.filePoolMax + 1 }, (_, index) => run(`${index}`, `${index}`))
    await turns()
    end('0')
    for (let step = 0; step < later; step += 1) await undefined
    work.push(run('late', 'late'))
    await turns()
    equal([begun.length, begun.at(-1)], [limits.filePoolMax + 1, String(limits.filePoolMax)], `${later} steps later`)
    for (const step of [...begun]) end(step)
    await turns()
    end('late')
    await Promise.all(work)
  }
})

queue('are taken in a bounded number of folders at once', async () => {
  const { begun, run, end } = stage()
  const steps = Array.from({ length: limits.filePoolMax + 2 }, (_, index) => `s${index}`)
  const work = steps.map((step) => run(step, step))
  await turns()
  is(begun.length, limits.filePoolMax)
  end('s3')
  await turns()
  is(begun.length, limits.filePoolMax + 1)
  for (const step of steps) {
    end(step)
    await turns(2)
  }
  equal(await Promise.all(work), steps)
})

queue('that hang are FILE_FAILED after 10 s, outcome unknown, and keep their folder until they return', async () => {
  const { begun, run, end } = stage()
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const hanging = refusal(run('a', 'a1'), 'FILE_FAILED')
    const behind = run('a', 'a2')
    await turns()
    mock.timers.tick(10_000)
    const { details, hint, message } = await hanging
    match(message, 'within 10 s')
    equal([details.outcome, hint], ['unknown', 'Try again with the same lock_id: it finds the grant if there is one.'])
    mock.timers.tick(60_000)
    await turns()
    equal(begun, ['a1'], 'nobody else steps on the folder meanwhile')
    end('a1')
    await turns()
    equal(begun, ['a1', 'a2'])
    end('a2')
    is(await behind, 'a2')
  } finally {
    mock.timers.reset()
  }
})

queue.run()
