import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { type ChildAnswer, runChild } from '../../src/log/level/open/child.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { refusalOf } from '../support/opening.ts'

const children = suite('a child that reads the database')

/** Runs a program of one line. */
function childOf(line: string): Promise<ChildAnswer> {
  const program = join(temporaryRoot(), 'program.mjs')
  writeFileSync(program, line)
  return runChild(program, [])
}

const answering = 'process.stdout.write(\'answer {"value":1}\\n\')'

/** Node's own list of what is open: the pipes to the child are among it. */
function openSockets(): Socket[] {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles: () => unknown[] }
  return handles.call(process).filter((handle) => handle instanceof Socket)
}

children('gives the value that it ends with', async () => {
  equal(await childOf(answering), { value: 1 })
})

children('is LEDGER_UNAVAILABLE if its answer cannot be read', async () => {
  const before = new Set(openSockets())
  const answer = childOf(`setTimeout(() => { ${answering} }, 200)`)
  const pipes = openSockets().filter((socket) => !before.has(socket))
  is(pipes.length, 2)
  for (const pipe of pipes) pipe.destroy(Object.assign(new Error('read EIO'), { code: 'EIO', syscall: 'read' }))
  const { code, details, message } = await refusalOf(answer)
  equal([code, details.outcome, details.system_code], ['LEDGER_UNAVAILABLE', 'not_applied', 'EIO'])
  match(message, 'read EIO')
})

children('is LEDGER_CORRUPT if it aborts, as LevelDB does on some damage', async () => {
  const { problem } = await childOf("process.kill(process.pid, 'SIGABRT')")
  is(problem?.code, 'LEDGER_CORRUPT')
})

children('is LEDGER_UNAVAILABLE after SIGBUS, by which a mapped file says that the disk failed', async () => {
  const { problem } = await childOf("process.kill(process.pid, 'SIGBUS')")
  is(problem?.code, 'LEDGER_UNAVAILABLE')
  is(problem?.details.signal, 'SIGBUS')
})

children.run()
