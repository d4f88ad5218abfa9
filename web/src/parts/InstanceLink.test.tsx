import { expect, it, vi } from 'vitest';
import { withNames } from './InstanceLink';

it('asks once for the names of all instances of a page, and not at all for none', async () => {
  const asked = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json({ success: true, data: [{ id: 'a1', name: 'web' }], pagination: { page: 1, limit: 2, total: 1, pages: 1 } }));
  const page = await withNames({ items: [{ instance_id: 'a1' }, {}, { instance_id: 'gone' }, { instance_id: 'a1' }], total: 4 });
  expect(page.total).toBe(4);
  expect([...page.names]).toEqual([['a1', 'web']]);
  expect(asked).toHaveBeenCalledOnce();
  const at = new URL(String(asked.mock.calls[0]?.[0]), 'http://panel');
  expect([at.pathname, at.searchParams.get('ids'), at.searchParams.get('limit')]).toEqual(['/api/v1/instances', 'a1,gone', '2']);
  expect([...(await withNames({ items: [{}] })).names]).toEqual([]);
  expect(asked).toHaveBeenCalledOnce();
});
