import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'

/** How many connections may wait until the process accepts them. The kernel rejects further ones. */
const backlog = 511

/**
 * Listens on a Unix socket at a path, or on a name without a file if it begins with a NUL (Linux). The socket does not
 * keep the process alive and is not inherited by children. It belongs to this process alone, even in a cluster worker.
 * Rejects with the system's error.
 */
export function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      // If the peer has already disconnected, the error is ignored.
      socket.on('error', () => {})
      socket.unref()
      onConnection(socket)
    })
    server.once('error', reject)
    server.listen({ path, backlog, exclusive: true }, () => {
      server.off('error', reject).on('error', () => {})
      server.unref()
      resolve(server)
    })
  })
}

/** Connects to a Unix socket. Rejects with the system's error. */
export function connectTo(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ path })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => {})
      resolve(socket)
    })
  })
}
