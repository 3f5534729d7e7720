const { PrismaPg } = require(process.env.PRISMA_MODULES + "/@prisma/adapter-pg");

// The engine in WebAssembly: the other is a program that npm does not carry.
module.exports = {
  experimental: { adapter: true },
  engine: "js",
  schema: "schema.prisma",
  adapter: async () =>
    new PrismaPg({
      host: "127.0.0.1",
      port: Number(process.env.PGPORT),
      user: process.env.PGUSER,
      password: process.env.PGPASSWORD,
      database: process.env.PGDATABASE,
    }),
};
