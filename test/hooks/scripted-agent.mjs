import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// A coding agent without a model: it edits files at random, and calls the installed hooks before and after each edit, as
// its harness would. It logs what it does, for the test. Arguments: session, folder, edits, files, seed.
const [session = '', dir = '', edits = '', files = '', seed = ''] = process.argv.slice(2)
const settings = JSON.parse(readFileSync(join(dir, '.claude/settings.local.json'), 'utf8'))
let state = Number(seed)

function below(limit) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
  return (state >>> 8) % limit
}

function hook(event, more) {
  const [{ hooks }] = settings.hooks[event]
  const input = JSON.stringify({ cwd: dir, hook_event_name: event, session_id: session, ...more })
  const { status, stdout } = spawnSync('/bin/sh', ['-c', hooks[0].command], { cwd: dir, encoding: 'utf8', input })
  if (status !== 0) throw new Error(`the hook ${event} ended with ${status}`)
  return stdout
}

const log = (line) => appendFileSync(join(dir, `${session}.log`), `${JSON.stringify(line)}\n`)

/** Edits a file in two steps. Nobody else may write between them. */
function edit(path) {
  const own = `edited by ${session}, ${process.hrtime.bigint()}`
  writeFileSync(path, own)
  hook('SessionStart', { source: 'compact' })
  const found = readFileSync(path, 'utf8')
  if (found !== own) throw new Error(`${path} was edited by another: ${found}`)
}

for (let at = 0; at < Number(edits); at += 1) {
  const file = `src/${below(Number(files))}.txt`
  const call = { tool_input: { file_path: join(dir, file) }, tool_name: 'Edit', tool_use_id: `${session}-${at}` }
  log({ asks: call.tool_use_id, file })
  const answer = hook('PreToolUse', call)
  if (answer.includes('"deny"')) log({ denied: call.tool_use_id, answer })
  else if (answer !== '') throw new Error(answer)
  else {
    edit(join(dir, file))
    const after = hook('PostToolUse', { ...call, tool_response: { success: true } })
    if (after !== '') throw new Error(after)
    log({ edited: call.tool_use_id, file })
  }
}
hook('SessionEnd', { reason: 'other' })
log({ ended: true })
