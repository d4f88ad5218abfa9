import type { ComponentProps } from 'react';

interface Props extends Omit<ComponentProps<'form'>, 'onSubmit'> {
  /** What sending it does. */
  run: () => unknown;
}

/** Every form: it is sent from here, and the browser stays where it is. */
export function Form({ run, ...form }: Props) {
  return (
    <form
      {...form}
      onSubmit={(e) => {
        e.preventDefault();
        run();
      }}
    />
  );
}
