/** Faults of ours that nobody catches: told before the program ends by them, so that the log says why. */
export function onFault(tell: (error: unknown) => void): () => void {
  const take = (error: unknown) => tell(error);
  // The one does not keep the program's own handler from ending it, the other is heard beside it.
  process.on('uncaughtExceptionMonitor', take);
  process.on('unhandledRejection', take);
  return () => {
    process.off('uncaughtExceptionMonitor', take);
    process.off('unhandledRejection', take);
  };
}
