// An egg of the journeys' own, for the image that every node has.
export const egg = (name) => ({
  _comment: 'Made for a journey.',
  meta: { version: 'PTDL_v2', update_url: null },
  exported_at: '2026-01-01T00:00:00+00:00',
  name,
  author: 'journeys@example.com',
  description: 'A page that greets.',
  features: null,
  docker_images: { 'The demo': 'berth/demo:1' },
  file_denylist: [],
  startup: './greet --words "{{GREETING}}" --level {{LEVEL}}',
  config: {
    files: JSON.stringify({ 'greet.properties': { parser: 'properties', find: { greeting: '{{server.build.env.GREETING}}', level: '{{env.LEVEL}}' } } }),
    startup: JSON.stringify({ done: 'ready on port' }),
    logs: '{}',
    stop: 'stop',
  },
  scripts: { installation: { script: null, container: 'berth/demo:1', entrypoint: 'sh' } },
  variables: [
    { name: 'Greeting', description: 'What the page says.', env_variable: 'GREETING', default_value: 'Hello', user_viewable: true, user_editable: true, rules: 'required|string|max:20', field_type: 'text' },
    { name: 'Level', description: 'How loud.', env_variable: 'LEVEL', default_value: '2', user_viewable: true, user_editable: true, rules: 'required|integer|between:1,5', field_type: 'text' },
    { name: 'Mood', description: 'How it is meant.', env_variable: 'MOOD', default_value: 'calm', user_viewable: true, user_editable: false, rules: 'required|in:calm,merry', field_type: 'text' },
  ],
});
