def draw_shots(train, n, task):
    return list(train)[:n]
