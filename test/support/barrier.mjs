// Loaded into the command before its own program (`node --import`). It lets the command load, and stops it at the
// moment in which it takes the words that it was called with. Then it says that the command is ready, and waits until it
// is let go, so that several commands begin their work at one moment. Children of the command are not held.
import { readSync, writeSync } from 'node:fs'

const { argv } = process
if (process.env.LOCKSTEP_TEST_HOLD !== undefined && argv[1]?.endsWith('main.js')) {
  argv.slice = (...bounds) => {
    delete argv.slice
    writeSync(3, 'r')
    readSync(3, Buffer.alloc(1))
    return argv.slice(...bounds)
  }
}
