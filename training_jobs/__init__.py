"""What runs on the machine that trains: programs that read a job folder and write into it."""
