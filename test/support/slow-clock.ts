/** Sets this process's clock back by so much; what it returns sets it right again. */
export function setClockBack(ms: number): () => void {
  const RightDate = globalThis.Date
  const now = (): number => RightDate.now() - ms
  globalThis.Date = new Proxy(RightDate, {
    construct: (_, given) => Reflect.construct(RightDate, given.length === 0 ? [now()] : given),
    get: (date, key) => (key === 'now' ? now : Reflect.get(date, key)),
  })
  return () => {
    globalThis.Date = RightDate
  }
}
