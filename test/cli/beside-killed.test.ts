import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { deadPid } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const killed = suite('what a killed reader leaves')

/** A ledger that this process has open, and a folder for the temporary files of readers. */
async function ground() {
  const [root, TMPDIR] = [temporaryRoot(), join(temporaryRoot(), 'for temporary files')]
  mkdirSync(TMPDIR)
  const owner = await openLedger({ dir: root, create: true, actor: testActor })
  const ask = () => lockstep(['--dir', root, 'head'], { env: { TMPDIR } })
  const end = async () => {
    await owner.close()
    await endsWithVerify(root)
  }
  return { ask, end, root, TMPDIR }
}

/** A process that has taken a snapshot and reads on. */
async function reader(root: string, TMPDIR: string) {
  const program = `
    import { openLedger } from ${JSON.stringify(join(project, 'dist/index.js'))}
    await openLedger({ dir: ${JSON.stringify(root)}, snapshot: true })
    process.stdout.write('taken')
    setInterval(() => {}, 1_000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, TMPDIR },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), exited])
  return {
    stop: async (signal: NodeJS.Signals) => {
      child.kill(signal)
      equal(await exited, [null, signal])
    },
  }
}

killed('is removed by the next reader, which leaves the folder of a living reader alone', async () => {
  const { ask, end, root, TMPDIR } = await ground()
  const gone = await reader(root, TMPDIR)
  const [left = ''] = readdirSync(TMPDIR)
  is(statSync(join(TMPDIR, left)).mode & 0o777, 0o700)
  await gone.stop('SIGKILL')
  const living = await reader(root, TMPDIR)
  ok(!existsSync(join(TMPDIR, left)))
  const [kept = '', ...others] = readdirSync(TMPDIR)
  equal(others, [])
  is((await ask()).status, 0)
  equal(readdirSync(TMPDIR), [kept])
  await living.stop('SIGTERM')
  equal(readdirSync(TMPDIR), [])
  await end()
})

killed('is nothing after SIGINT, SIGTERM and SIGHUP', async () => {
  const { end, root, TMPDIR } = await ground()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const { stop } = await reader(root, TMPDIR)
    is(readdirSync(TMPDIR).length, 1)
    await stop(signal)
    equal(readdirSync(TMPDIR), [])
  }
  await end()
})

killed('is only removed if the folder is a reader’s', async () => {
  const { ask, end, TMPDIR } = await ground()
  const names = ['lockstep-snapshot', 'lockstep-snapshot-', `lockstep-snapshot-${deadPid()}`, 'others']
  for (const name of names) mkdirSync(join(TMPDIR, name))
  is((await ask()).status, 0)
  equal(readdirSync(TMPDIR).sort(), names)
  await end()
})

killed.run()
