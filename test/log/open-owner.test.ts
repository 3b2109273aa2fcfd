import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, statSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Layout } from '../../src/disk/layout.ts'
import { fingerprint } from '../../src/log/level/files.ts'
import { type Owner, readOwner, thisOwner, writeOwner } from '../../src/log/level/owner/owner.ts'
import { asked } from '../support/asked.ts'
import { deadPid } from '../support/deliverable.ts'
import { endsWithVerify } from '../support/ledger.ts'
import { closedLedger, evidenceIn, open, openOnce, refusalAt, size } from '../support/opening.ts'

const opening = suite('who has a ledger open')

const ownerOf = (layout: Layout) => readOwner(layout.owner) as Extract<Owner, { state: 'open' }>

opening('leaves no evidence behind, says who has it, and at close how it was left', async () => {
  const layout = await closedLedger()
  const log = await open(layout)
  equal(evidenceIn(layout), [])
  const { command, pid, state } = ownerOf(layout)
  equal([state, pid, command], ['open', process.pid, 'the day shift'])
  await log.close()
  equal(readOwner(layout.owner), { state: 'closed', files: fingerprint(layout.ledger) })
})

opening('a busy ledger is refused at once or after the wait, and names who has it', async () => {
  const layout = await closedLedger()
  const log = await open(layout, { command: 'the night shift' })
  const { since } = ownerOf(layout)
  for (const openWaitSeconds of [0, 0.3]) {
    const started = performance.now()
    const { code, details, hint, message, retryable } = await refusalAt(layout, { openWaitSeconds })
    ok(performance.now() - started >= openWaitSeconds * 1000)
    equal([code, retryable], ['LEDGER_UNAVAILABLE', true])
    match(message, `process ${process.pid} (the night shift, since ${since})`)
    const { busy, outcome, owner_command, owner_pid, owner_since } = details
    equal([busy, outcome], [true, 'not_applied'])
    equal([owner_command, owner_pid, owner_since], ['the night shift', process.pid, since])
    match(hint ?? '', '--open-wait')
  }
  equal(ownerOf(layout).command, 'the night shift', 'who was refused did not say it had it')
  equal(evidenceIn(layout), [])
  await log.close()
  is(await openOnce(layout), size)
})

opening('a busy ledger whose owner nobody named is still busy', async () => {
  const layout = await closedLedger()
  const log = await open(layout)
  rmSync(layout.owner)
  const { code, details, message } = await refusalAt(layout)
  equal([code, details.busy, details.owner_pid], ['LEDGER_UNAVAILABLE', true, undefined])
  match(message, 'another process')
  equal(evidenceIn(layout), [])
  await log.close()
  is(existsSync(layout.owner), false, 'a handle that lost its owner file writes none')
  is(await openOnce(layout), size)
})

opening('waits, tries again, and has the ledger once it is closed', async () => {
  const layout = await closedLedger()
  const log = await open(layout, { command: 'the night shift' })
  const tried = asked(layout)
  let isOpen = false
  const waiting = open(layout, { openWaitSeconds: 60 }).then((opened) => {
    isOpen = true
    return opened
  })
  await tried
  is(isOpen, false)
  await log.close()
  const opened = await waiting
  is(opened.head().size, size)
  is(ownerOf(layout).command, 'the day shift')
  await opened.close()
  equal(evidenceIn(layout), [])
})

opening('after a process died with it open looks closer, and says so while it has it', async () => {
  const layout = await closedLedger()
  const own = thisOwner({ command: 'the dead', folder: '', holdsName: false, nonce: 'n' })
  const left = { ...own, pid: deadPid(), evidence: { ...own.evidence, pid: deadPid() }, folder: null }
  for (const suspect of [undefined, 'after_crash', 'checking'] as const) {
    writeOwner(layout.owner, { ...left, ...(suspect && { suspect }) })
    const log = await open(layout)
    is(ownerOf(layout).suspect, suspect === undefined ? 'after_crash' : undefined)
    is(log.head().size, size)
    await log.close()
    is(readOwner(layout.owner)?.state, 'closed')
  }
})

opening(
  'an owner that cannot be seen and does not answer keeps its owner file while LevelDB’s lock says that it lives',
  async () => {
    const layout = await closedLedger()
    const program = `const { Level } = await import(process.argv[2]); const level = new Level(process.argv[1])
    await level.open(); console.log('open'); process.stdin.on('end', () => process.exit()).resume()`
    const words = ['--input-type=module', '-e', program, layout.ledger, import.meta.resolve('level')]
    const owner = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(owner.stdout, 'data')
    const own = thisOwner({
      command: 'the far',
      folder: String(statSync(layout.ledger).ino),
      holdsName: false,
      nonce: 'far',
    })
    writeOwner(layout.owner, { ...own, evidence: { ...own.evidence, pid_ns: 'pid:[1]' } })
    const before = statSync(layout.owner, { bigint: true })
    const { code, details } = await refusalAt(layout)
    equal([code, details.busy, details.owner_command], ['LEDGER_UNAVAILABLE', true, 'the far'])
    const after = statSync(layout.owner, { bigint: true })
    equal([after.ino, after.mtimeNs], [before.ino, before.mtimeNs])
    owner.stdin.end()
    await once(owner, 'exit')
    is(await openOnce(layout), size)
    await endsWithVerify(layout.root)
  },
)

opening.run()
