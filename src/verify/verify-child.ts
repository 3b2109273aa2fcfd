/**
 * The child process of a verification: `<root> <open wait in seconds> [rebuild]`. LevelDB aborts its process on some
 * damage.
 */
import { layoutOf } from '../disk/layout.ts'
import { answer } from '../log/level/open/child-answer.ts'
import { verifyBeside } from './verify-beside.ts'

const [root = '', openWait = '30', rebuild] = process.argv.slice(2)

void answer(() =>
  verifyBeside(layoutOf(root), {
    onProgress: ({ done, total }) => void process.stdout.write(`${done} ${total}\n`),
    onSnapshot: (size) => void process.stdout.write(`as of ${size}\n`),
    openWaitSeconds: Number(openWait),
    rebuild: rebuild === 'rebuild',
  }),
)
