import { render, screen } from '@testing-library/react';
import { Suspense, useState } from 'react';
import { expect, it } from 'vitest';
import { later } from './later';

function Named({ name }: { name: string }) {
  const [first] = useState(name);
  return <p>{`${name}, once ${first}`}</p>;
}

const code = { default: Named };

it('draws at once what was loaded before', async () => {
  const Page = later(() => Promise.resolve(code));
  await Page.load();
  render(<Page name="it" />);
  expect(screen.getByText('it, once it')).toBeVisible();
});

it('waits for what was not, and draws it then', async () => {
  const Page = later(() => Promise.resolve(code));
  const page = (name: string) => (
    <Suspense fallback="on its way">
      <Page name={name} />
    </Suspense>
  );
  const { rerender } = render(page('it'));
  expect(screen.getByText('on its way')).toBeVisible();
  expect(await screen.findByText('it, once it')).toBeVisible();
  // That the code is there now makes no other of it.
  rerender(page('that'));
  expect(screen.getByText('that, once it')).toBeVisible();
});

it('tries again what could not be loaded ahead', async () => {
  let tries = 0;
  const Page = later(() => (++tries === 1 ? Promise.reject<typeof code>(new Error('away')) : Promise.resolve(code)));
  await expect(Page.load()).rejects.toThrow('away');
  render(
    <Suspense fallback="on its way">
      <Page name="it" />
    </Suspense>,
  );
  expect(await screen.findByText('it, once it')).toBeVisible();
});
